"""Lays the flow out as a picture: a lane down for each service, a line across for each event, arrows to who hears it.

Cycles between services are ordinary in a saga, and draw no knots here: a line goes from the lane that publishes to the
lanes that subscribe. Events stand in the order in which a run can come to them. The layout depends on the resource
alone, so that nothing moves while figures do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orderflow_model.flow import OrderFlow

_LANE, _FIRST_LANE, _ROW, _HEAD = 150, 290, 44, 104


@dataclass(frozen=True)
class Lane:
    """A service: where its line stands."""

    service: str
    x: int


@dataclass(frozen=True)
class Arrow:
    """An event's way into a service's lane; `toward` is where it comes from: -1 left, 1 right, 0 its own lane."""

    service: str
    x: int
    toward: int


@dataclass(frozen=True)
class Row:
    """An event: its line from the outermost lanes that it touches, dots where it is published, arrows where heard."""

    event: str
    y: int
    left: int
    right: int
    published: Sequence[int]
    arrows: Sequence[Arrow]


@dataclass(frozen=True)
class Picture:
    """The whole, in pixels."""

    lanes: Sequence[Lane]
    rows: Sequence[Row]
    width: int
    height: int


def draw(flow: OrderFlow) -> Picture:
    """Return the picture of a flow."""
    events = list(_in_order(flow))
    lanes = {name: _FIRST_LANE + at * _LANE for at, name in enumerate(_lanes(flow, events))}
    rows = [_row(flow, event, _HEAD + at * _ROW, lanes) for at, event in enumerate(events, 1)]
    return Picture(
        lanes=[Lane(name, x) for name, x in lanes.items()],
        rows=rows,
        width=_FIRST_LANE + len(lanes) * _LANE - _LANE // 2 + 30,
        height=_HEAD + (len(rows) + 1) * _ROW,
    )


def _in_order(flow: OrderFlow) -> Iterator[str]:
    """Yield all events, each once: from the beginning of a run on by who hears what, then what is left."""
    begins = [flow.spec.saga.begins] if flow.spec.saga else []
    waiting, seen = [*begins, *(event.name for event in flow.spec.events)], set[str]()
    while waiting:
        event = waiting.pop(0)
        if event in seen:
            continue
        seen.add(event)
        yield event
        heard = [one for one in flow.services if event in one.subscribes]
        follow = [name for one in heard for name in one.publishes if name not in seen]
        waiting = [*follow, *waiting] if begins else waiting


def _lanes(flow: OrderFlow, events: Sequence[str]) -> list[str]:
    """Return the services, who publishes first at the left, who only listens at the right."""
    first = {name: at for at, name in reversed(list(enumerate(events)))}

    def place(service: str) -> int:
        return min((first[event] for event in flow.service(service).publishes if event in first), default=len(events))

    return sorted((service.name for service in flow.services), key=place)


def _row(flow: OrderFlow, event: str, y: int, lanes: dict[str, int]) -> Row:
    published = [lanes[one.name] for one in flow.services if event in one.publishes]
    heard = [one.name for one in flow.services if event in one.subscribes]
    touched = [*published, *(lanes[name] for name in heard)] or [_FIRST_LANE]
    arrows = [Arrow(name, lanes[name], _toward(lanes[name], published)) for name in heard]
    return Row(event, y, min(touched), max(touched), published, arrows)


def _toward(x: int, published: Sequence[int]) -> int:
    """Return from which side the line comes to a lane: that of the nearest publisher."""
    nearest = min(published, key=lambda one: abs(one - x), default=x)
    return (nearest > x) - (nearest < x)
