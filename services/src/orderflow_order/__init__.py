"""The order service: takes orders in over HTTP, decides their fate, and tells their story."""
