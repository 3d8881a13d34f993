"""Dead letters, as their topics and their tables hold them."""
