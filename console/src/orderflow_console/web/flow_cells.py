"""The texts of the flow's picture and table that change with its figures: one cell each, by name.

A page is rendered with them, and the stream sends the same again; `console.js` puts what differs where it stands.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from orderflow_console.queries.lag import Lag, Trend
from orderflow_console.web.flow_watch import FlowFigures, Health, ServiceFigures
from orderflow_console.web.rendering import count, duration
from orderflow_model.flow import OrderFlow
from orderflow_model.names import schema_name
from orderflow_model.topics import event_topic

_SHAPES = {Health.GOOD: "●", Health.WAITING: "▲", Health.DEAD: "◆", Health.SILENT: "✖"}
_TRENDS = {Trend.RISING: " ↗ rising", Trend.FALLING: " ↘ falling", Trend.STEADY: " → steady", Trend.UNKNOWN: ""}
_LATE_SECONDS = 10.0
"""A lag from which on an arrow is drawn as late; below it is the ordinary wait of a batch."""


class Cell(NamedTuple):
    """A text, and the class that it is shown by."""

    text: str
    kind: str = ""


def cells(flow: OrderFlow, figures: FlowFigures) -> dict[str, Cell]:
    """Return all cells: rate, total and lag by event and service; health, state, parked and dead by service."""
    found = {"problem": Cell(figures.problem or "", "problem" if figures.problem else "")}
    for service in figures.services.values():
        found.update(_of_service(service))
    topics = {event.name: event_topic(flow, event).name for event in flow.spec.events}
    for event, subscriber in figures.arrows:
        found.update(_of_arrow(figures, event, subscriber, topics))
    return found


def _of_service(service: ServiceFigures) -> Iterator[tuple[str, Cell]]:
    name, health = service.name, service.health
    yield f"health:{name}", Cell(_SHAPES[health], health)
    yield f"state:{name}", Cell(_words(service), health)
    yield f"parked:{name}", Cell(count(service.parked) if service.answers else "?")
    yield f"dead:{name}", Cell(count(service.dead))


def _words(service: ServiceFigures) -> str:
    if not service.answers:
        return "does not answer"
    parts = [f"{count(service.dead)} dead"] if service.dead else []
    parts += [f"{count(service.parked)} parked"] if service.parked else []
    return ", ".join(parts) or "well"


def _of_arrow(
    figures: FlowFigures, event: str, subscriber: str, topics: Mapping[str, str]
) -> Iterator[tuple[str, Cell]]:
    arrow, name = figures.arrows[event, subscriber], f"{event}:{subscriber}"
    lag = figures.lags.get((schema_name(subscriber), topics[event]))
    late = lag is not None and (lag.seconds or 0) >= _LATE_SECONDS
    yield f"rate:{name}", Cell(_rate(arrow.rate), "flowing" if arrow.rate else "idle")
    yield f"total:{name}", Cell(count(arrow.total))
    yield f"lag:{name}", Cell(_lag(lag), "late" if late else "")
    yield f"late:{name}", Cell(f"■ {duration(lag.seconds)}" if lag and late else "", "late")


def _rate(rate: float) -> str:
    return "0/s" if rate == 0 else f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"


def _lag(lag: Lag | None) -> str:
    if lag is None or lag.seconds is None:
        return "not known"
    return f"{duration(lag.seconds)}{_TRENDS[lag.trend]}" if lag.seconds else "none"
