"""Where data came from: each step of a run tells, by OpenLineage, which columns it read and which it wrote."""
