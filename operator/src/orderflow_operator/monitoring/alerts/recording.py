"""What is recorded of a flow because alerts look at its course over time, named level:metric:operation."""

from typing import Any

from orderflow_model.flow import OrderFlow
from orderflow_operator.monitoring.promql import BY_SERVICE, Scope

LAG = "flow_service:orderflow_consumer_lag:sum"


def rules(flow: OrderFlow) -> list[dict[str, Any]]:
    """Return the recording rules that every flow has."""
    lag = Scope.of(flow).series("orderflow_consumer_lag")
    return [{"record": LAG, "expr": f"sum by ({BY_SERVICE}) ({lag})"}]
