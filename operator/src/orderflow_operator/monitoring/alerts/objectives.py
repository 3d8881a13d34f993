"""Objectives as error budgets: how fast they burn, in several windows, and alerts where that is too fast.

The scheme is that of Google's Site Reliability Workbook, chapter 5, "Alerting on SLOs", its sixth approach: an alert
needs a long window, so that it means something, and a short one, so that it ends when the trouble does. The factors are
the workbook's for a budget of 30 days: 2 % of it spent in an hour, 5 % in six, 10 % in three days.

A factor above what a low target leaves room for could never be reached (14.4 times a budget of 10 % is more than
everything), so a threshold goes at most half the way from the budget to 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from orderflow_model.flow import OrderFlow
from orderflow_model.spec.saga import Objective
from orderflow_operator.monitoring.alerts.alert import Alert, Severity
from orderflow_operator.monitoring.promql import IDENTITY, Scope, plain

BY_OBJECTIVE = f"{IDENTITY}, objective"
_RUNS = "orderflow_objective_runs_total"


@dataclass(frozen=True)
class Burn:
    """A pair of windows, and how many times faster than it lasts the budget burns in both."""

    long: str
    short: str
    factor: Decimal
    severity: Severity

    def threshold(self, objective: Objective) -> Decimal:
        """Return the part of missed runs from which the alert fires."""
        budget = budget_of(objective)
        return min(self.factor * budget, (1 + budget) / 2)


BURNS = (
    Burn("1h", "5m", Decimal("14.4"), Severity.CRITICAL),
    Burn("6h", "30m", Decimal(6), Severity.CRITICAL),
    Burn("3d", "6h", Decimal(1), Severity.WARNING),
)
WINDOWS = tuple(dict.fromkeys(window for burn in BURNS for window in (burn.short, burn.long)))


def budget_of(objective: Objective) -> Decimal:
    """Return the part of runs that may miss the objective."""
    return 1 - Decimal(objective.target) / 100


def missed(window: str) -> str:
    """Return the name of the recorded part of runs that missed their objective."""
    return f"flow_objective:orderflow_runs_missed:ratio_rate{window}"


def records(flow: OrderFlow) -> list[dict[str, Any]]:
    """Return the rules that record the part of missed runs, one a window."""
    if not _has_objectives(flow):
        return []
    scope = Scope.of(flow)
    return [{"record": missed(window), "expr": ratio(scope, window)} for window in WINDOWS]


def ratio(scope: Scope, window: str) -> str:
    """Return the part of the runs of each objective that missed it, among those that ended within the window."""
    some, every = scope.series(_RUNS, met="false"), scope.series(_RUNS)
    by = f"sum by ({BY_OBJECTIVE})"
    return f"{by} (rate({some}[{window}])) / {by} (rate({every}[{window}]))"


def alerts(flow: OrderFlow) -> Iterator[Alert]:
    """Return the alerts on each objective."""
    if _has_objectives(flow):
        for objective in flow.spec.objectives:
            for burn in BURNS:
                yield _alert(Scope.of(flow), objective, burn)


def _has_objectives(flow: OrderFlow) -> bool:
    """Return whether there are runs: they are the saga's, and without one there is nothing to promise."""
    return bool(flow.spec.saga and flow.spec.objectives)


def _alert(scope: Scope, objective: Objective, burn: Burn) -> Alert:
    threshold = plain(burn.threshold(objective))
    long, short = (scope.series(missed(window), objective=objective.name) for window in (burn.long, burn.short))
    return Alert(
        "OrderFlowBudgetBurns",
        burn.severity,
        f"{long} > {threshold} and {short} > {threshold}",
        f"The objective {objective.name} is being missed",
        f"{{{{ $value | humanizePercentage }}}} of the runs of the last {burn.long} took longer than "
        f"{objective.within}; {objective.target} % are to take less.",
        labels={"objective": objective.name, "window": burn.long},
    )
