"""What an apply of a changed resource would change, and which work in flight that touches."""
