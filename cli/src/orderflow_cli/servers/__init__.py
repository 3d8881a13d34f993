"""Kafka, its mock and Postgres as child processes."""
