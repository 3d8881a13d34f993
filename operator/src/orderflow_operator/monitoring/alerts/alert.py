"""One alert: its condition, how long it must hold, and what it says to the person who gets it."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from orderflow_operator.monitoring.promql import Scope, lasting

PREFIX = "OrderFlow"


class Severity(StrEnum):
    """`critical` wakes somebody; `warning` waits for the morning."""

    CRITICAL = "critical"
    WARNING = "warning"


@dataclass(frozen=True)
class Alert:
    """`hold` in seconds; `labels` besides flow and namespace."""

    name: str
    severity: Severity
    expr: str
    summary: str
    description: str
    hold: float = 0.0
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def page(self) -> str:
        """The name of its runbook's page, such as `lag-growing` for OrderFlowLagGrowing."""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", self.name.removeprefix(PREFIX)).lower()

    def rule(self, scope: Scope, runbooks: str) -> dict[str, Any]:
        """Return it as Prometheus reads it."""
        rule: dict[str, Any] = {"alert": self.name, "expr": self.expr}
        if self.hold:
            rule["for"] = lasting(self.hold)
        return rule | {
            "labels": {"severity": self.severity.value} | scope.labels | self.labels,
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{runbooks.rstrip('/')}/{self.page}.md",
            },
        }
