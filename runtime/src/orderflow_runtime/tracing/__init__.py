"""Traces: what is carried of them, which spans there are, and how they leave the process."""
