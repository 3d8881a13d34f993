"""Jobs: what people do to all that a filter finds, with a result for each that outlives the process."""
