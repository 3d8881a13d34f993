"""The loop around the dispatcher, and where its batches come from."""
