"""The rows of the dashboard that speak of the flow as a whole. Rates follow the resolution the viewer has chosen."""

from collections.abc import Sequence

from orderflow_model.flow import OrderFlow
from orderflow_model.spec.saga import Objective, Saga
from orderflow_operator.monitoring.alerts import objectives
from orderflow_operator.monitoring.dashboard.panels import (
    GREEN,
    ORANGE,
    RED,
    Panel,
    Query,
    Row,
    bars,
    graph,
    stat,
    timeseries,
)
from orderflow_operator.monitoring.promql import Scope, plain

RATE = "$__rate_interval"
RANGE = "$__range"
QUANTILES = (("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99"))

_EVENTS = 'event=~"[A-Z].*"'
"""Events of the resource alone: outcomes of calls and timers are handled too, and named in lower case."""
_PROCESSED, _PUBLISHED = "orderflow_events_processed_total", "orderflow_events_published_total"


def overview(flow: OrderFlow) -> Row:
    """Return what one looks at first."""
    scope, services = Scope.of(flow), len(flow.services)
    firing = scope.series("ALERTS", alertstate="firing")
    dead = f"sum(increase({scope.series('orderflow_events_dead_total')}[{RANGE}])) or vector(0)"
    panels = [
        stat("Alerts", f"count({firing}) or vector(0)", limits={RED: 1}),
        stat(
            f"Services up, of {services}", f"sum(max by (service) ({scope.series('up')}))", limits=_at_least(services)
        ),
        stat("Events handled", f"sum(rate({scope.series(_PROCESSED)}[{RATE}]))", "reqps"),
        stat("Events waiting", f"sum({scope.series('orderflow_consumer_lag')})"),
        stat("Dead letters", dead, limits={ORANGE: 1}),
    ]
    if flow.spec.saga:
        panels.append(stat("Runs stuck", f"max({scope.series('orderflow_saga_stuck')})", limits={RED: 1}))
    return Row("Now", panels)


def topology(flow: OrderFlow) -> Row:
    """Return the flow's picture: services and events are nodes, what is published and handled a second the edges."""
    scope = Scope.of(flow)
    published = f"sum by (service, event) (rate({scope.series(_PUBLISHED, _EVENTS)}[{RATE}]))"
    processed = f"sum by (service, event) (rate({scope.series(_PROCESSED, _EVENTS)}[{RATE}]))"
    edges = [_edge(published, "service", "event"), _edge(processed, "event", "service")]
    nodes = [
        _node(f"sum by (service) ({processed})", "service"),
        _node(f"sum by (service) ({published})", "service"),
        _node(f"sum by (event) ({published})", "event"),
        _node(f"sum by (event) ({processed})", "event"),
    ]
    return Row("Picture", [graph("Events a second, from service to event to service", _any(nodes), _any(edges))])


def events(flow: OrderFlow) -> Row:
    """Return what becomes of each event."""
    scope = Scope.of(flow)
    age = scope.series("orderflow_event_age_seconds_bucket")
    calls = f"sum by (kind, outcome) (rate({scope.series('orderflow_calls_total')}[{RATE}]))"
    return Row(
        "Events",
        [
            timeseries("Published a second", [_by_event(scope, "published", "{{event}}")], "reqps"),
            timeseries("Handled a second", [_by_event(scope, "processed", "{{event}}")], "reqps"),
            timeseries(
                "Age when its effects are committed, p95",
                [Query(f"histogram_quantile(0.95, sum by (event, le) (rate({age}[{RATE}])))", "{{event}}")],
                "s",
            ),
            timeseries(
                "Parked, retried, given up a second",
                [_by_event(scope, what, f"{what} {{{{event}}}}") for what in ("parked", "retried", "dead")],
                "reqps",
            ),
            timeseries("Calls to the outside a second", [Query(calls, "{{kind}} {{outcome}}")], "reqps"),
            timeseries("Calls to the outside, time", _quantiles(scope, "orderflow_call_seconds", "kind"), "s"),
        ],
    )


def saga(flow: OrderFlow, saga_: Saga) -> Row:
    """Return how runs go: how many came how far, where they are, how long they took."""
    scope = Scope.of(flow)
    states = f"max by (state) ({scope.series('orderflow_saga_runs')})"
    return Row(
        "Saga",
        [
            bars("Runs that came so far", [_step(scope, event) for event in _steps(saga_)]),
            timeseries("Runs by state", [Query(states, "{{state}}")], stacked=True),
            timeseries("Time from beginning to end", _quantiles(scope, "orderflow_saga_seconds", "end"), "s", width=24),
        ],
    )


def promises(flow: OrderFlow) -> Row:
    """Return, for each objective, whether it is kept and how fast its budget burns."""
    scope = Scope.of(flow)
    return Row("Objectives", [panel for one in flow.spec.objectives for panel in _promise(scope, one)])


def _promise(scope: Scope, objective: Objective) -> Sequence[Panel]:
    runs, name, budget = "orderflow_objective_runs_total", objective.name, objectives.budget_of(objective)
    met = scope.series(runs, objective=name, met="true")
    every = scope.series(runs, objective=name)
    kept = f"sum(increase({met}[{RANGE}])) / sum(increase({every}[{RANGE}]))"
    burning = [
        Query(f"{scope.series(objectives.missed(burn.long), objective=name)} / {plain(budget)}", burn.long)
        for burn in objectives.BURNS
    ]
    limits = {
        color: float(burn.threshold(objective) / budget)
        for color, burn in zip((RED, ORANGE, GREEN), objectives.BURNS, strict=True)
    }
    kept_panel = stat(f"{name}: ended within {objective.within}", kept, "percentunit")
    kept_panel["fieldConfig"]["defaults"] |= {"decimals": 2, "thresholds": _kept_steps(float(1 - budget))}
    return (
        kept_panel,
        timeseries(f"{name}: budget burns, times as fast as it lasts", burning, "none", width=20, limits=limits),
    )


def _kept_steps(target: float) -> dict[str, object]:
    return {"mode": "absolute", "steps": [{"color": RED, "value": None}, {"color": GREEN, "value": target}]}


def _at_least(number: int) -> dict[str, float]:
    return {RED: 0, GREEN: number}


def _steps(saga_: Saga) -> list[str]:
    """Return the events along a run: its beginning, its steps, its ends, then the way back."""
    forth = [step.undo for step in saga_.compensations]
    back = [step.by for step in reversed(saga_.compensations)]
    return list(dict.fromkeys([saga_.begins, *forth, *saga_.ends, *back]))


def _step(scope: Scope, event: str) -> Query:
    return Query(f"sum(increase({scope.series(_PUBLISHED, event=event)}[{RANGE}]))", event, instant=True)


def _by_event(scope: Scope, what: str, legend: str) -> Query:
    return Query(f"sum by (event) (rate({scope.series(f'orderflow_events_{what}_total')}[{RATE}]))", legend)


def _quantiles(scope: Scope, histogram: str, label: str) -> list[Query]:
    buckets = f"sum by ({label}, le) (rate({scope.series(f'{histogram}_bucket')}[{RATE}]))"
    return [Query(f"histogram_quantile({part}, {buckets})", f"{{{{{label}}}}} {name}") for part, name in QUANTILES]


def _edge(rate: str, source: str, target: str) -> str:
    ends = f'label_join(label_join({rate}, "source", "", "{source}"), "target", "", "{target}")'
    return f'label_join({ends}, "id", " to ", "{source}", "{target}")'


def _node(rate: str, kind: str) -> str:
    named = f'label_join(label_join({rate}, "id", "", "{kind}"), "title", "", "{kind}")'
    return f'label_replace({named}, "subtitle", "{kind}", "", "")'


def _any(queries: Sequence[str]) -> str:
    return " or ".join(queries)
