"""What a service says of itself in metrics, logs and spans; the dispatcher knows nothing of it."""
