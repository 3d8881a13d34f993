"""What the services of the reference flow say to each other."""
