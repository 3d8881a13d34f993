"""The program that keeps a lake up to what is stored, in a pod of its own; `spec.analytics.lake` implies it."""
