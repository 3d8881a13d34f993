"""The rules of a flow, as a PrometheusRule holds them: what is recorded, then what alerts, in groups.

`resources/prometheusrule.py` asks for them.
"""

from collections.abc import Iterator
from typing import Any

from orderflow_model.flow import OrderFlow
from orderflow_operator.monitoring.alerts import lake, objectives, recording, saga, service, sources
from orderflow_operator.monitoring.alerts.alert import Alert
from orderflow_operator.monitoring.promql import Scope

Group = dict[str, Any]


def groups(flow: OrderFlow, runbooks: str) -> list[Group]:
    """Return the groups that have rules; `runbooks` is the address of the folder of the pages."""
    scope = Scope.of(flow)
    records = [*recording.rules(flow), *objectives.records(flow)]
    alerts = [alert.rule(scope, runbooks) for alert in all_alerts(flow)]
    return [_group(flow, "recorded", records), _group(flow, "alerts", alerts)]


def all_alerts(flow: OrderFlow) -> Iterator[Alert]:
    """Return every alert of a flow."""
    yield from service.alerts(flow)
    yield from saga.alerts(flow)
    yield from lake.alerts(flow)
    yield from objectives.alerts(flow)
    yield from sources.alerts(flow)


def _group(flow: OrderFlow, name: str, rules: list[dict[str, Any]]) -> Group:
    return {"name": f"orderflow.{flow.metadata.name}.{name}", "rules": rules}
