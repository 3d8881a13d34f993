"""A flow's events for questions: the sink that keeps them, the lake that types them, and what is asked of it."""
