"""Where the cluster comes in: watched flows, reviews of the webhook, and probes."""
