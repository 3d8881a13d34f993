"""The ports of the dispatcher, and what passes through them."""
