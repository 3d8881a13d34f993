"""Delta tables in two zones: `raw`, what was stored, and `curated`, what of it fits its contract, typed and once."""
