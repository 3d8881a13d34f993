"""A new service, made so far that it runs and its test passes: what it does is written by hand."""
