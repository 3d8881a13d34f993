"""The shop's documents service: notes and delivery documents of orders, kept as objects and found by their words."""
