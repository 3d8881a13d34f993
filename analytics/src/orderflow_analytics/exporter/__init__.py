"""The program that keeps a lake up to what is stored, in a pod of its own; `spec.analytics.lake` implies it."""

HELD_UP = "held up"
"""How a line of a run begins that had to leave out what was stored before it."""
