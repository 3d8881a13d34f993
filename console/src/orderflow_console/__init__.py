"""What people see of a flow that runs."""
