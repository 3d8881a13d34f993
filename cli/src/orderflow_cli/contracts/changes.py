"""What of a flow's contracts breaks somebody, against what was promised before.

Backward: today's readers take what was written before. Forward: yesterday's readers take what is written now. Lake: a
column that was there stays, with its type. Personal: what was marked as personal data stays marked. An older version is
lifted by upcasters, which are code: that they are there is judged, not what they do.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from orderflow_cli.contracts.compatibility import Unread, unread
from orderflow_cli.contracts.event_contract import READS, VERSION, EventContract
from orderflow_cli.contracts.lake import Models, column, columns, table_name
from orderflow_cli.contracts.schema import Schema, field_of


class Direction(StrEnum):
    """Whom a change breaks."""

    BACKWARD = "backward"
    FORWARD = "forward"
    LAKE = "lake"
    PERSONAL = "personal"


@dataclass(frozen=True)
class Break:
    """One breaking change: event, field (a JSON pointer, empty for the whole event), for whom, and why.

    `column` is where the lake has the field, and `models` the dbt models that it reaches.
    """

    event: str
    place: str
    direction: Direction
    why: str
    column: str = ""
    models: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the break as one line."""
        reach = f"; column {self.column}" if self.column else ""
        reach += f", models {', '.join(self.models)}" if self.models else ""
        return f"{self.event}{self.place}: {self.direction}: {self.why}{reach}"


Published = Mapping[tuple[str, int], Schema]


def breaks(
    published: Published, contracts: Iterable[EventContract], models: Models | None, *, has_lake: bool
) -> tuple[Break, ...]:
    """Return what breaks, in the order of events' names.

    Without `has_lake` columns are no concern; with `models` each break names those that it reaches.
    """
    current = {contract.event: contract for contract in contracts}
    found: list[Break] = []
    for event in sorted({event for event, _ in published}):
        before = {version: schema for (name, version), schema in published.items() if name == event}
        found += _of_event(event, before, current.get(event), has_lake=has_lake)
    return tuple(_reaching(one, models) for one in found) if has_lake else tuple(found)


def _reaching(one: Break, models: Models | None) -> Break:
    table = f"curated/{table_name(one.event)}"
    found = f"{table}.{column(one.place)}" if one.place else table
    return replace(one, column=found, models=models.reading(one.event, one.place) if models else ())


def _of_event(
    event: str, before: Mapping[int, Schema], contract: EventContract | None, *, has_lake: bool
) -> Iterator[Break]:
    if contract is None or contract.schema is None:
        what = "is no longer in the flow" if contract is None else "has no schema any more"
        yield Break(event, "", Direction.BACKWARD, f"{what}; events of it are stored, and readers may wait for more")
        return
    latest, now = before[max(before)], contract.schema
    for version in sorted(before):
        yield from _backward(event, version, before[version], now)
    forward = unread(latest, now)
    yield from (_told(event, one, Direction.FORWARD, latest, now) for one in forward)
    if has_lake:
        yield from _lake(event, latest, now)
    yield from _personal(event, latest, now)


def _backward(event: str, version: int, before: Schema, now: Schema) -> Iterator[Break]:
    if version > now[VERSION]:
        why = f"version {version} was published, and the class has gone back to {now[VERSION]}"
        yield Break(event, "", Direction.BACKWARD, why)
        return
    for old in sorted({version, *before[READS]} - set(now[READS])):
        yield Break(event, "", Direction.BACKWARD, f"version {old} is no longer read; give it an upcaster")
    if version == now[VERSION]:
        yield from (_told(event, one, Direction.BACKWARD, now, before) for one in unread(now, before))


def _told(event: str, one: Unread, direction: Direction, reader: Schema, writer: Schema) -> Break:
    """Return a break with who reads, and what may have become of a field that is gone."""
    who = "today's readers" if direction is Direction.BACKWARD else "yesterday's readers"
    return Break(event, one.place, direction, f"{who}: {one.why}{_renamed(one.place, reader, writer)}")


def _renamed(place: str, reader: Schema, writer: Schema) -> str:
    """Return the hint that a field was renamed, where the writer has lost one and has a new one of the same kind."""
    here = {field.place: field.kind for field in field_of(reader).walk()}
    there = {field.place: field.kind for field in field_of(writer).walk()}
    if place in there or place not in here:
        return ""
    beside = place.rpartition("/")[0]
    new = [name for name, kind in there.items() if name not in here and kind == here[place]]
    alike = [name for name in new if name.rpartition("/")[0] == beside]
    return f" (renamed to or from {alike[0]}? a new name is a new field)" if len(alike) == 1 else ""


def _lake(event: str, before: Schema, now: Schema) -> Iterator[Break]:
    had, has = columns(field_of(before)), columns(field_of(now))
    for place, kind in had.items():
        if place not in has:
            yield Break(event, place, Direction.LAKE, "its column is filled no more")
        elif has[place] != kind:
            yield Break(event, place, Direction.LAKE, f"its column was of {kind}, and would be of {has[place]}")


def _personal(event: str, before: Schema, now: Schema) -> Iterator[Break]:
    marked = {field.place for field in field_of(before).walk() if field.personal}
    for field in field_of(now).walk():
        if field.place in marked and not field.personal:
            yield Break(event, field.place, Direction.PERSONAL, "is no longer marked as personal data")
