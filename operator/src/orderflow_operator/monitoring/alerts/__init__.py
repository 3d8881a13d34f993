"""Rules that record and rules that alert, each with the limits it goes by. Pure; no I/O."""
