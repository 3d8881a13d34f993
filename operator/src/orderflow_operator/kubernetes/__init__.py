"""Kubernetes as the operator meets it: the API's client, what it remembers of objects, and how they fare."""
