"""What the order service tells of its orders for dashboards and alerts; `__main__` gives it to the runtime."""

from orderflow_runtime import Measure

MEASURES = (
    Measure("orderflow_saga_runs", "Orders by state", "SELECT state, count(*) AS value FROM orders GROUP BY state"),
    Measure(
        "orderflow_saga_stuck",
        "Orders that wait for a person: past a deadline that nobody lets pass, or not to be undone",
        "SELECT (SELECT count(*) FROM timers WHERE due_at < clock_timestamp() - interval '1 minute')"
        " + (SELECT count(*) FROM orders WHERE state = 'COMPENSATION_FAILED') AS value",
    ),
)

BEGAN = "SELECT order_id AS key, placed_at AS began FROM orders WHERE order_id = ANY($1::text[]) AND attempt < 2"
"""An order that is resumed has ended before: its second cancellation is not the end of a run."""
