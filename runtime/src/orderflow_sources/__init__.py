"""Programs that take messages from where no events are yet, and hand each to a service of the flow by its HTTP API."""
