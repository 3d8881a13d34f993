"""What of a flow's contracts breaks somebody, against what was promised before.

Backward: today's readers take what was written before. Forward: yesterday's readers take what is written now. Lake: a
column that was there stays, with its type. Personal: what was marked as personal data stays marked. An older version is
lifted by upcasters, which are code: that they are there is judged, not what they do.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from orderflow_model.contracts.columns import column, columns, table_name
from orderflow_model.contracts.compatibility import Unread, unread
from orderflow_model.contracts.schema import READS, VERSION, Schema, field_of


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
"""The schema of each version of each event that was promised."""
Readers = Callable[[str, str], tuple[str, ...]]
"""Tells which dbt models read a field of an event, by its name and the field's JSON pointer."""


def breaks(
    published: Published, current: Mapping[str, Schema | None], readers: Readers | None, *, has_lake: bool
) -> tuple[Break, ...]:
    """Return what today's schemas by event break, in the order of events' names; raise `ContractsError`.

    Without `has_lake` columns are no concern; with `readers` each break names the models that it reaches.
    """
    found: list[Break] = []
    for event in sorted({event for event, _ in published}):
        before = {version: schema for (name, version), schema in published.items() if name == event}
        if event not in current:
            found.append(_gone(event, "is no longer in the flow"))
        elif (now := current[event]) is None:
            found.append(_gone(event, "has no schema any more"))
        else:
            found += _of_event(event, before, now, has_lake=has_lake)
    return tuple(_reaching(one, readers) for one in found) if has_lake else tuple(found)


def _gone(event: str, what: str) -> Break:
    return Break(event, "", Direction.BACKWARD, f"{what}; events of it are stored, and readers may wait for more")


def _reaching(one: Break, readers: Readers | None) -> Break:
    table = f"curated/{table_name(one.event)}"
    found = f"{table}.{column(one.place)}" if one.place else table
    return replace(one, column=found, models=readers(one.event, one.place) if readers else ())


def _of_event(event: str, before: Mapping[int, Schema], now: Schema, *, has_lake: bool) -> Iterator[Break]:
    latest = before[max(before)]
    for version in sorted(before):
        yield from _backward(event, version, before[version], now)
    yield from _told(event, unread(latest, now), Direction.FORWARD, latest, now)
    if has_lake:
        yield from _lake(event, latest, now)
    yield from _personal(event, latest, now)


def _backward(event: str, version: int, before: Schema, now: Schema) -> Iterator[Break]:
    if version > now[VERSION]:
        why = f"version {version} was published, and its contract has gone back to {now[VERSION]}"
        yield Break(event, "", Direction.BACKWARD, why)
        return
    for old in sorted({version, *before[READS]} - set(now[READS])):
        yield Break(event, "", Direction.BACKWARD, f"version {old} is no longer read; give it an upcaster")
    if version == now[VERSION]:
        yield from _told(event, unread(now, before), Direction.BACKWARD, now, before)


def _told(event: str, found: Iterable[Unread], direction: Direction, reader: Schema, writer: Schema) -> Iterator[Break]:
    """Yield breaks with who reads, and what may have become of a field that is gone."""
    who = "today's readers" if direction is Direction.BACKWARD else "yesterday's readers"
    new_names = _Renames(reader, writer) if found else None
    for one in found:
        hint = new_names.hint(one.place) if new_names else ""
        yield Break(event, one.place, direction, f"{who}: {one.why}{hint}")


class _Renames:
    """What fields may be called now: where the writer has lost one, and has one new of the same kind beside it."""

    def __init__(self, reader: Schema, writer: Schema) -> None:
        self._here = {field.place: field.kind for field in field_of(reader).walk()}
        self._there = {field.place: field.kind for field in field_of(writer).walk()}
        self._new: dict[tuple[str, str], list[str]] = {}
        for place, kind in self._there.items():
            if place not in self._here:
                self._new.setdefault((place.rpartition("/")[0], kind), []).append(place)

    def hint(self, place: str) -> str:
        """Return the hint for a field of the reader; nothing where it is there, or no or several names are likely."""
        if place in self._there or place not in self._here:
            return ""
        alike = self._new.get((place.rpartition("/")[0], self._here[place]), ())
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
