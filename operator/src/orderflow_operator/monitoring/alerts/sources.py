"""Alerts on each source: it refuses messages, or it takes none."""

from collections.abc import Iterator

from orderflow_model.flow import OrderFlow
from orderflow_operator.monitoring.alerts.alert import Alert, Severity
from orderflow_operator.monitoring.promql import BY_SERVICE, Scope, lasting

_REFUSED_FOR = "1h"
_LONGEST_SECONDS = 600


def alerts(flow: OrderFlow) -> Iterator[Alert]:
    """Return the alerts of a flow that has sources."""
    scope = Scope.of(flow)
    for source in flow.spec.sources:
        yield _refused(scope, source.name, source.queue.refused_name)
        yield _stalled(scope, source.name, source.into.service)


def _refused(scope: Scope, source: str, kept: str) -> Alert:
    refused = scope.series("orderflow_source_messages_total", service=source, outcome="refused")
    return Alert(
        "OrderFlowMessagesRefused",
        Severity.WARNING,
        f"sum by ({BY_SERVICE}) (increase({refused}[{_REFUSED_FOR}])) > 0",
        f"Messages of source {source} are refused",
        f"In the last {_REFUSED_FOR} {{{{ $value | humanize }}}} messages of {source} were refused; "
        f"they are kept in queue {kept}, each with its reason.",
    )


def _stalled(scope: Scope, source: str, taker: str) -> Alert:
    by = f"max by ({BY_SERVICE})"
    oldest = scope.series("orderflow_source_oldest_seconds", service=source)
    connected = scope.series("orderflow_source_connected", service=source)
    return Alert(
        "OrderFlowSourceStalled",
        Severity.CRITICAL,
        f"{by} ({oldest}) > {_LONGEST_SECONDS} or {by} ({connected}) == 0",
        f"Messages of source {source} do not come in",
        f"Source {source} has no connection to its queue, or {taker} has not taken a message of it "
        f"for {lasting(_LONGEST_SECONDS)}.",
        hold=300,
    )
