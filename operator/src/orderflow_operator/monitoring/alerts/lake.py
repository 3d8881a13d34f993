"""The alert on a lake that is older than the resource's `freshness`: where a cluster fills one."""

from collections.abc import Iterator

from orderflow_model.flow import OrderFlow
from orderflow_model.spec.lake import LAKE
from orderflow_operator.monitoring.alerts.alert import Alert, Severity
from orderflow_operator.monitoring.promql import Scope, lasting

_SYNCED = "orderflow_lake_synced_timestamp_seconds"
_HOLD_SECONDS = 300


def alerts(flow: OrderFlow) -> Iterator[Alert]:
    """Yield the alert, if the resource says how old the lake may be.

    A program that began anew tells nothing until a run has ended well: what was told before counts, and its absence.
    """
    analytics = flow.spec.analytics
    if analytics is None or analytics.lake is None or analytics.freshness is None:
        return
    synced, most = Scope.of(flow).series(_SYNCED, service=LAKE), analytics.freshness.seconds
    window = lasting(2 * most)
    yield Alert(
        "OrderFlowLakeStale",
        Severity.WARNING,
        f"time() - max(max_over_time({synced}[{window}])) > {most} or absent_over_time({synced}[{window}])",
        "The lake is older than it may be",
        f"No run has brought the lake up to what is stored for {analytics.freshness}; what it lacks is in Postgres.",
        hold=_HOLD_SECONDS,
        labels={"service": LAKE},
    )
