"""What is wrong with a flow that its parts cannot see for themselves. Pure."""
