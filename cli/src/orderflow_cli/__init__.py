"""The `orderflow` command: check a flow, run it on this machine, load orders, look at what happens."""
