"""The Grafana dashboard of a flow: how it is as a whole, its picture, its events, its saga, its promises, its services.

`resources/dashboard.py` puts it into a ConfigMap. The same flow gives the same text, byte for byte.
"""

import json
from collections.abc import Iterator

from orderflow_model.flow import OrderFlow
from orderflow_operator.kubernetes.labels import digest
from orderflow_operator.monitoring.dashboard import flow_rows, service_rows
from orderflow_operator.monitoring.dashboard.panels import SCHEMA_VERSION, Row, placed
from orderflow_operator.monitoring.promql import Scope

_UID_DIGITS = 12


def uid(flow: OrderFlow) -> str:
    """Return the dashboard's identity, which its address holds; it stays while flow and namespace keep their names."""
    scope = Scope.of(flow)
    return f"orderflow-{digest(f'{scope.namespace}/{scope.flow}', _UID_DIGITS)}"


def text(flow: OrderFlow) -> str:
    """Return the dashboard as the JSON that Grafana reads."""
    scope = Scope.of(flow)
    model = {
        "uid": uid(flow),
        "title": f"OrderFlow {scope.namespace}/{scope.flow}",
        "tags": ["orderflow"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_datasource()]},
        "annotations": {"list": []},
        "panels": placed(_rows(flow)),
    }
    return json.dumps(model, sort_keys=True, separators=(",", ":"))


def _rows(flow: OrderFlow) -> Iterator[Row]:
    yield flow_rows.overview(flow)
    yield flow_rows.topology(flow)
    yield flow_rows.events(flow)
    if flow.spec.saga:
        yield flow_rows.saga(flow, flow.spec.saga)
        if flow.spec.objectives:
            yield flow_rows.promises(flow)
    yield from service_rows.services(flow)


def _datasource() -> dict[str, object]:
    """Let the viewer choose which Prometheus; Grafana takes its default one."""
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1}
