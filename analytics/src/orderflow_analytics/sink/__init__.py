"""The service that keeps every event of a flow as it came, in Postgres: `raw.events`, from which the lake is filled."""
