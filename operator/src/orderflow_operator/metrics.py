"""What the operator counts, for Prometheus; the rest of the package adds to it."""

from prometheus_client import Counter, Gauge, Histogram

RECONCILES = Counter("orderflow_operator_reconciles", "Reconciles, by how they ended.", ["outcome"])
DURATION = Histogram(
    "orderflow_operator_reconcile_seconds",
    "Time of a reconcile.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
ERRORS = Counter("orderflow_operator_errors", "What kept a flow from being as it should, by reason.", ["reason"])
WRITES = Counter("orderflow_operator_writes", "Writes to the API server, by kind and verb.", ["kind", "verb"])
QUEUE = Gauge("orderflow_operator_queue", "Flows that wait to be reconciled now.")
FLOWS = Gauge("orderflow_operator_flows", "Flows that are known.")
OBJECTS = Gauge("orderflow_operator_objects", "Objects that are remembered.")
