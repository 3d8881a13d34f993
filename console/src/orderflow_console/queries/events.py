"""The records of a topic, browsed from the newest back, or from a time on: so many are looked at, and how far is said.

Kafka can look up an offset or a time, nothing else: whatever else is asked for is looked for record by record. A page
looks at a bounded number of them, says how far it came, and goes on from there. It holds no more records than it shows.
"""

import base64
import binascii
import datetime as dt
import heapq
import json
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from pydantic_core import from_json, to_json

from orderflow_console.queries.errors import InvalidQuestionError, ReadError, UnknownError
from orderflow_console.queries.event_judge import EventJudge
from orderflow_console.queries.kafka import TIMEOUT_SECONDS, Options, asking, bytes_of, reading
from orderflow_console.queries.masking import mask, mask_headers
from orderflow_console.queries.topics import EARLIEST, LATEST, offsets

LOOKED_AT_ONCE = 10_000
"""How many records one page looks at, over all partitions."""
_SECONDS = 8.0
_TYPE = "ce_type"

Ranges = dict[int, tuple[int, int]]
"""Of each partition the first offset to look at, and the one behind the last."""
Ranked = tuple[int, int, int, Message]
"""A record behind its place in the order of the page: time, partition, offset. In a partition, times never fall."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What is asked for; all that is given has to hold. `contains` is looked for in the data as it is shown, what is
    personal masked: nobody finds by asking what is not shown.

    With `since` the oldest come first, from that time on; without, the newest. `expression` is one of CEL, of the same
    data and of what `event_judge` names besides.
    """

    partition: int | None = None
    key: str | None = None
    type: str | None = None
    contains: str | None = None
    since: dt.datetime | None = None
    expression: str | None = None

    def fits(self, message: Message, personal: Collection[str]) -> bool:
        """Return whether a record is one of those asked for."""
        return (
            (self.key is None or message.key() == self.key.encode())
            and (self.contains is None or _holds(bytes_of(message.value()) or b"", self.contains.encode(), personal))
            and (self.type is None or dict(message.headers() or ()).get(_TYPE) == self.type.encode())
        )


@dataclass(frozen=True, slots=True)
class BrowsedEvent:
    """A record: `data` is its value as JSON, or as text where it is none, with what is personal masked."""

    partition: int
    offset: int
    at: dt.datetime
    key: str | None
    headers: dict[str, str]
    data: Any


@dataclass(frozen=True, slots=True)
class EventPage:
    """The records that fit, and how far was looked: how many records, how many bytes, and to which time.

    `next` goes on behind it; None where there is no more to look at. Of `unjudged` records an expression could not be
    said to hold or not; `why` is of the first.
    """

    items: tuple[BrowsedEvent, ...]
    next: str | None
    records: int
    bytes: int
    looked_to: dt.datetime | None
    unjudged: int = 0
    why: str = ""


@dataclass
class _Looked:
    """What a page has seen: the first records of its order, and partitions of which others fit too."""

    newest: bool
    limit: int
    records: int = 0
    bytes: int = 0
    furthest: int | None = None
    last: dict[int, int] = field(default_factory=dict)
    kept: list[Ranked] = field(default_factory=list)
    cut: set[int] = field(default_factory=set)
    unjudged: int = 0
    why: str = ""

    def judge(self, judge: EventJudge, message: Message, personal: Collection[str] | None) -> bool:
        """Return whether the expression holds for a record; count one of which that cannot be said."""
        found = judge.judge(_values(_browsed(message, personal)))
        if isinstance(found, str):
            self.unjudged += 1
            self.why = self.why or found
        return found is True

    def take(self, message: Message, *, fits: bool) -> None:
        """Count a record, and keep it where it is one of the first."""
        partition, offset = message.partition() or 0, message.offset() or 0
        self.records += 1
        self.bytes += len(message.value() or b"")
        at = message.timestamp()[1]
        self.last[partition] = max(self.last.get(partition, 0), at)
        self.furthest = at if self.furthest is None else (min if self.newest else max)(self.furthest, at)
        if fits:
            self.kept.append((self.last[partition], partition, offset, message))
            if len(self.kept) > 2 * self.limit:
                self.prune()

    def prune(self) -> None:
        """Keep what the page shows."""
        first = heapq.nlargest if self.newest else heapq.nsmallest
        kept = first(self.limit, self.kept, key=lambda ranked: ranked[:3])
        shown = {ranked[1:3] for ranked in kept}
        self.cut |= {ranked[1] for ranked in self.kept if ranked[1:3] not in shown}
        self.kept = kept


ALL = EventFilter()


def browse_events(
    options: Options,
    topic: str,
    where: EventFilter = ALL,
    after: str | None = None,
    limit: int = 50,
    personal: Collection[str] | None = None,
) -> EventPage:
    """Return a page of a topic's records; `personal` are JSON pointers to mask, None where nobody knows them.

    Raise `UnknownError` for a topic or partition that is not there, `InvalidQuestionError` for a part of data that is
    all masked, or `ReadError`.
    """
    if personal is None and where.contains is not None:
        raise InvalidQuestionError(
            f"nobody says what of {topic} is personal, so all of its data is masked", "Look for a key, or say what is"
        )
    log = _log(options, topic, where.partition)
    newest = where.since is None
    looked = _Looked(newest, limit)
    with reading(options, topic) as consumer:
        left = _read_place(after) if after else log if newest else _since(consumer, topic, log, where)
        left = {n: (max(start, log[n][0]), min(end, log[n][1])) for n, (start, end) in left.items() if n in log}
        windows = _windows(left, newest)
        with _judging(where.expression) as judge:

            def fits(message: Message) -> bool:
                return where.fits(message, personal or ()) and (not judge or looked.judge(judge, message, personal))

            _look(consumer, topic, windows, fits, looked)
    looked.prune()
    rest = {n: _rest(bounds, windows.get(n, bounds), looked, n) for n, bounds in left.items()}
    return EventPage(
        items=tuple(_browsed(ranked[3], personal) for ranked in looked.kept),
        next=_write_place(rest) if any(start < end for start, end in rest.values()) else None,
        records=looked.records,
        bytes=looked.bytes,
        looked_to=None if looked.furthest is None else _time(looked.furthest),
        unjudged=looked.unjudged,
        why=looked.why,
    )


def _judging(expression: str | None) -> AbstractContextManager[EventJudge | None]:
    return nullcontext() if expression is None else EventJudge(expression)


def _values(event: BrowsedEvent) -> dict[str, Any]:
    """Return what an expression can speak of, as a page shows it."""
    told = {name: event.headers.get(f"ce_{name}", "") for name in ("type", "id", "source")}
    place = {"partition": event.partition, "offset": event.offset, "time": event.at.isoformat()}
    return {"data": event.data, "key": event.key or "", "headers": mask_headers(event.headers), **told, **place}


def _log(options: Options, topic: str, partition: int | None) -> Ranges:
    """Return what each partition holds; raise `UnknownError` where there is none."""
    with asking(options, topic) as admin:
        found = admin.list_topics(timeout=TIMEOUT_SECONDS).topics.get(topic)
        if found is None:
            raise UnknownError(f"there is no topic {topic}", "See orderflow topics list")
        if partition is not None and partition not in found.partitions:
            raise UnknownError(f"{topic} has no partition {partition}", f"It has {len(found.partitions)}, from 0")
        places = [(topic, n) for n in found.partitions if partition in (None, n)]
        first, end = (offsets(admin, places, spec) for spec in (EARLIEST, LATEST))
    if missing := [n for _, n in places if (topic, n) not in first or (topic, n) not in end]:
        raise ReadError(f"{topic} has no leader for partition {missing[0]} now", "Ask for another, or try again")
    return {n: (first[topic, n], end[topic, n]) for _, n in places}


def _since(consumer: Consumer, topic: str, log: Ranges, where: EventFilter) -> Ranges:
    """Return what each partition holds from a time on."""
    at = 0 if where.since is None else max(int(where.since.timestamp() * 1000), 0)  # below, Kafka means other things
    found = consumer.offsets_for_times([TopicPartition(topic, n, at) for n in log], timeout=TIMEOUT_SECONDS)
    starts = {one.partition: one.offset for one in found}
    return {n: (starts[n] if starts[n] >= 0 else end, end) for n, (_, end) in log.items()}  # -1: nothing is so new


def _windows(left: Ranges, newest: bool) -> Ranges:
    """Return what one page looks at, of each partition that has something left."""
    waiting = {n: bounds for n, bounds in left.items() if bounds[0] < bounds[1]}
    share = max(LOOKED_AT_ONCE // max(len(waiting), 1), 1)
    return {
        n: (max(start, end - share), end) if newest else (start, min(end, start + share))
        for n, (start, end) in waiting.items()
    }


def _look(consumer: Consumer, topic: str, windows: Ranges, fits: Callable[[Message], bool], looked: _Looked) -> None:
    """Read the windows from beginning to end; raise `ReadError` when Kafka is too slow."""
    consumer.assign([TopicPartition(topic, n, start) for n, (start, _) in windows.items()])
    open_ones, deadline = set(windows), time.monotonic() + _SECONDS
    while open_ones:
        message = consumer.poll(max(deadline - time.monotonic(), 0))
        if message is None:
            raise ReadError(f"{topic} was not read in {_SECONDS:.0f} s", "Ask for one partition, or try again")
        number, error = message.partition() or 0, message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
        offset, end = message.offset() or 0, windows[number][1]
        if error is None and offset < end and number in open_ones:
            looked.take(message, fits=fits(message))
        if (error is not None or offset >= end - 1) and number in open_ones:
            open_ones.discard(number)
            consumer.incremental_unassign([TopicPartition(topic, number)])


def _rest(left: tuple[int, int], window: tuple[int, int], looked: _Looked, partition: int) -> tuple[int, int]:
    """Return what a partition has left after this page: what was not looked at, and what fits and was not shown."""
    shown = [ranked[2] for ranked in looked.kept if ranked[1] == partition]
    if looked.newest:
        end = window[0] if partition not in looked.cut else min(shown, default=window[1])
        return left[0], end
    start = window[1] if partition not in looked.cut else max(shown, default=window[0] - 1) + 1
    return start, left[1]


def _holds(value: bytes, part: bytes, personal: Collection[str]) -> bool:
    """Return whether the value has the part, elsewhere than in what is masked."""
    if part not in value or not personal:
        return part in value
    try:
        shown = mask(from_json(value, allow_inf_nan=False), personal)
    except ValueError:
        return False
    forms = (to_json(shown), json.dumps(shown).encode(), json.dumps(shown, ensure_ascii=False).encode())
    return any(part in form for form in forms)  # with blanks and escapes or without, as programs write them


def _browsed(message: Message, personal: Collection[str] | None) -> BrowsedEvent:
    value = bytes_of(message.value()) or b""
    try:
        data = from_json(value, allow_inf_nan=False)
    except ValueError:
        data, personal = value.decode(errors="replace"), None if personal is None or personal else ()
    key = bytes_of(message.key())
    headers = dict(message.headers() or ())
    return BrowsedEvent(
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        at=_time(message.timestamp()[1]),
        key=None if key is None else key.decode(errors="replace"),
        headers={str(name): (bytes_of(text) or b"").decode(errors="replace") for name, text in headers.items()},
        data=mask(data, personal),
    )


def _time(milliseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)


def _write_place(rest: Ranges) -> str:
    return base64.urlsafe_b64encode(json.dumps(rest).encode()).decode().rstrip("=")


def _read_place(text: str) -> Ranges:
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return {int(n): (int(start), int(end)) for n, (start, end) in found.items()}
    except (binascii.Error, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        raise InvalidQuestionError(
            f"{text[:100]!r} is no place in this list", "Give what the page before called next"
        ) from None
