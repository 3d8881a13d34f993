"""One module per kind: `build` returns the object as plain data, `name` how it is called. Pure; no I/O.

`desired.py` puts them together. Where a name is not the service's own it holds a dot, which no flow's or service's
name can: `shop.autoscaler` never meets a service called `autoscaler`.
"""
