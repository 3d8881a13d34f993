"""What becomes of a batch: one transaction, and what it owes after its commit."""
