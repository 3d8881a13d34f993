"""The flow's own dbt project on the curated zone: its sources made from contracts, its marts published to `serving`."""
