"""The Grafana dashboard of a flow, in rows of panels. Pure; no I/O."""
