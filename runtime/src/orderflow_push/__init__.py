"""The dispatcher of a service that is no Python module of ours: it hands events to a program by HTTP (docs/push.md)."""
