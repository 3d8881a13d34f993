"""The parts of the resource's `spec`."""
