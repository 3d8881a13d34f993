"""Kafka as the operator meets it: how it is reached, who may do what, and its admin API."""
