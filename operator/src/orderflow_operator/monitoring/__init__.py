"""What a flow's metrics are made into: rules that record, rules that alert, and a dashboard. Pure; no I/O.

`resources/` puts the results into Kubernetes objects. All of it is derived from the resource: its names, its services'
delivery and scale, its saga's deadline, its objectives. The metrics themselves are listed in docs/metrics.md.
"""
