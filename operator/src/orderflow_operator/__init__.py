"""The operator: makes Kubernetes and Kafka hold what an OrderFlow resource says, and keeps them so."""
