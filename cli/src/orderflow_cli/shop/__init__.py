"""All of the command that knows the reference flow."""
