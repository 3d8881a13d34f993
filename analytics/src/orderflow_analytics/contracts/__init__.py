"""What the flow's events are made of, as the lake and its models see it: columns with types, and who fits them."""
