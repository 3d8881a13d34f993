"""A flow on this machine: its processes, its folder and how it is shown."""
