"""What people do to a running flow, apart from its services' own interfaces: for the command and the console alike."""
