"""Service F of the design: points for completed orders. It is all that a new service takes, beside its one entry."""
