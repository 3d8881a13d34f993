"""The steps of a run as one graph of assets: with a schedule, retries, checks and a page to see them on."""
