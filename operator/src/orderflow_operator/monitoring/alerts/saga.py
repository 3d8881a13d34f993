"""Alerts on the runs of a saga: one that is past its deadline, one that could not be taken back."""

from collections.abc import Iterator

from orderflow_model.flow import OrderFlow
from orderflow_operator.monitoring.alerts import thresholds
from orderflow_operator.monitoring.alerts.alert import Alert, Severity
from orderflow_operator.monitoring.promql import IDENTITY, Scope

FAILED = "COMPENSATION_FAILED"
"""The state in which a run waits for a person, by the platform's convention; the service reports it by that name."""


def alerts(flow: OrderFlow) -> Iterator[Alert]:
    """Return the alerts of a flow that has a saga."""
    saga = flow.spec.saga
    if saga is None:
        return
    scope = Scope.of(flow)
    stuck = f"max by ({IDENTITY}) ({scope.series('orderflow_saga_stuck')})"
    failed = f"max by ({IDENTITY}) ({scope.series('orderflow_saga_runs', state=FAILED)})"
    yield Alert(
        "OrderFlowRunsStuck",
        Severity.CRITICAL,
        f"{stuck} - ({failed} or 0 * {stuck}) > 0",
        "Runs of {{ $labels.flow }} are past their deadline",
        f"{{{{ $value }}}} runs are past their deadline of {saga.deadline} and have neither ended nor been taken back.",
        hold=thresholds.past_deadline(saga),
    )
    yield Alert(
        "OrderFlowCompensationFailed",
        Severity.CRITICAL,
        f"{failed} > 0",
        "Runs of {{ $labels.flow }} could not be taken back",
        f"{{{{ $value }}}} runs are {FAILED}: a step that was done is not undone, and nobody tries any more.",
    )
