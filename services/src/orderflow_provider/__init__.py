"""A small payment provider simulator, part of the reference system: an HTTP process that fails on request."""
