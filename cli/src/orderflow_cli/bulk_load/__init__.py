"""Orders of other systems, read from files and placed in bulk."""
