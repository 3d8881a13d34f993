"""The rows of the dashboard that speak of one service each, with the limits at which its alerts fire."""

from collections.abc import Iterator

from orderflow_model.flow import OrderFlow
from orderflow_model.spec.services import Service
from orderflow_operator.monitoring.alerts import thresholds
from orderflow_operator.monitoring.dashboard.flow_rows import QUANTILES, RATE
from orderflow_operator.monitoring.dashboard.panels import ORANGE, RED, Panel, Query, Row, timeseries
from orderflow_operator.monitoring.promql import Scope

_THIRD = 8


def services(flow: OrderFlow) -> Iterator[Row]:
    """Return a row a service, closed until one looks for it."""
    for service in flow.services:
        yield Row(f"Service {service.name}", list(_panels(flow, service)), collapsed=True)


def _panels(flow: OrderFlow, service: Service) -> Iterator[Panel]:
    scope = Scope.of(flow)
    yield _throughput(scope, service)
    if service.subscribes:
        yield _lag(scope, service)
    yield _batches(scope, service)
    yield _waiting(flow, scope, service)
    yield _leases(scope, service)


def _throughput(scope: Scope, service: Service) -> Panel:
    ways = (("processed", "in {{event}}", service.subscribes), ("published", "out {{event}}", service.publishes))
    queries = [
        Query(f"sum by (event) (rate({_own(scope, service, f'orderflow_events_{what}_total')}[{RATE}]))", legend)
        for what, legend, events in ways
        if events
    ]
    return timeseries("Events a second", queries, "reqps", width=_THIRD)


def _lag(scope: Scope, service: Service) -> Panel:
    lag = f"sum by (topic) ({_own(scope, service, 'orderflow_consumer_lag')})"
    limits = {RED: float(service.scale.max * service.scale.lag)}
    return timeseries("Events waiting, by topic", [Query(lag, "{{topic}}")], width=_THIRD, limits=limits, stacked=True)


def _batches(scope: Scope, service: Service) -> Panel:
    buckets = f"sum by (le) (rate({_own(scope, service, 'orderflow_batch_seconds_bucket')}[{RATE}]))"
    queries = [Query(f"histogram_quantile({part}, {buckets})", name) for part, name in QUANTILES]
    return timeseries("Time of a batch", queries, "s", width=_THIRD)


def _waiting(flow: OrderFlow, scope: Scope, service: Service) -> Panel:
    delivery = thresholds.delivery_of(flow, service)
    queries = [
        Query(f"max({_own(scope, service, f'orderflow_{what}_oldest_seconds')})", what) for what in ("outbox", "parked")
    ]
    limits = {ORANGE: thresholds.parked(delivery), RED: thresholds.unpublished(delivery)}
    return timeseries("Oldest in the outbox, oldest parked", queries, "s", width=_THIRD, limits=limits)


def _leases(scope: Scope, service: Service) -> Panel:
    changes = _own(scope, service, "orderflow_lease_changes_total")
    recoveries = _own(scope, service, "orderflow_recoveries_total")
    queries = [
        Query(f"sum by (pod) ({_own(scope, service, 'orderflow_leases')})", "held by {{pod}}"),
        Query(f"sum by (change) (increase({changes}[{RATE}]))", "{{change}}"),
        Query(f"sum by (reason) (increase({recoveries}[{RATE}]))", "anew: {{reason}}"),
    ]
    return timeseries("Partitions, and what makes them change hands", queries, width=_THIRD)


def _own(scope: Scope, service: Service, metric: str) -> str:
    return scope.series(metric, service=service.name)
