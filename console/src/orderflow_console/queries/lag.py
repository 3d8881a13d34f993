"""How far each subscription is behind, in time: the age of the oldest event that its service has not handled.

The service's stored offset is the truth, not the group's. How old the record there is, the record itself says, so one
record is read of each partition that is behind; of the many partitions of a large backlog a sample is enough.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError, KafkaException, TopicPartition

from orderflow_console.queries.database import Database, literal, quoted, service_schemas, snapshot
from orderflow_console.queries.kafka import TIMEOUT_SECONDS, Options, asking, reading
from orderflow_console.queries.topics import LATEST, offsets

Place = tuple[str, int]

_SAMPLE = 16
"""Of each subscription so many partitions are read, those that have most to do."""
_MOST = 512
_WAIT_SECONDS = 3.0
_STEADY_SECONDS = 1.0
"""A lag that changes by less is as it was."""


class Trend(StrEnum):
    """How a lag moves since it was read before."""

    UNKNOWN = "Unknown"
    RISING = "Rising"
    STEADY = "Steady"
    FALLING = "Falling"


@dataclass(frozen=True, slots=True)
class Lag:
    """One service's lag on one topic; `seconds` is None where a partition has no leader, or no record came in time.

    `service` is called as its schema is; `behind` of `partitions` have something to do, `records` in all.
    """

    service: str
    topic: str
    seconds: float | None
    trend: Trend
    records: int
    behind: int
    partitions: int


class LagReader:
    """Reads all lags, each time with the trend since the time before; `seconds` is the clock of records, Unix time."""

    def __init__(self, database: Database, options: Options, seconds: Callable[[], float] = time.time) -> None:
        self._database, self._options, self._seconds = database, options, seconds
        self._before: dict[tuple[str, str], float | None] = {}

    async def read(self) -> tuple[Lag, ...]:
        """Return the lag of every subscription, by service and topic; raise `ReadError`."""
        stored = await self._stored()
        places = {place for found in stored.values() for place in found}
        known, ends = await asyncio.to_thread(self._ends, places)
        stored = {key: kept for key, found in stored.items() if (kept := _of(found, known))}
        wanted = {key: _behind(found, ends) for key, found in stored.items()}
        oldest = {}
        for service in {
            service for service, _ in wanted
        }:  # each has offsets of its own on a topic that others read too
            sample = _sample(found for (name, _), found in wanted.items() if name == service)
            starts = {place: stored[(service, place[0])][place] for place in sample}
            oldest.update(
                {(service, *place): at for place, at in (await asyncio.to_thread(self._times, starts)).items()}
            )
        lags = [self._lag(key, stored[key], wanted[key], ends, oldest) for key in sorted(stored)]
        self._before = {(lag.service, lag.topic): lag.seconds for lag in lags}
        return tuple(lags)

    async def _stored(self) -> dict[tuple[str, str], dict[Place, int]]:
        """Return the stored offsets by service and topic."""
        found: dict[tuple[str, str], dict[Place, int]] = defaultdict(dict)
        async with snapshot(self._database) as connection:
            parts = [
                f"SELECT {literal(schema)} AS service, topic, partition, next_offset FROM {quoted(schema)}.offsets"  # noqa: S608 - fixed names
                for schema in await service_schemas(connection)
            ]
            for row in await connection.fetch(" UNION ALL ".join(parts)) if parts else ():
                found[(row["service"], row["topic"])][(row["topic"], row["partition"])] = row["next_offset"]
        return dict(found)

    def _ends(self, places: Collection[Place]) -> tuple[set[Place], dict[Place, int]]:
        """Return which partitions there are, and where each ends that has a leader."""
        with asking(self._options, "lag") as admin:
            there = admin.list_topics(timeout=TIMEOUT_SECONDS).topics
            known = {(topic, n) for topic, n in places if topic in there and n in there[topic].partitions}
            return known, offsets(admin, known, LATEST)

    def _times(self, starts: Mapping[Place, int]) -> dict[Place, float | None]:
        """Return the Unix time of the record at each place, None where none is there any more; not what is slow."""
        found: dict[Place, float | None] = {}
        if not starts:
            return found
        with reading(self._options, "lag") as consumer:
            consumer.assign([TopicPartition(topic, n, offset) for (topic, n), offset in starts.items()])
            deadline = time.monotonic() + _WAIT_SECONDS
            while len(found) < len(starts) and (left := deadline - time.monotonic()) > 0:
                message = consumer.poll(left)
                if message is None:
                    break
                place = (message.topic() or "", message.partition() or 0)
                error = message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                kind, milliseconds = message.timestamp()
                told = error is None and kind != TIMESTAMP_NOT_AVAILABLE
                if place not in found:
                    found[place] = milliseconds / 1000 if told else None
                    consumer.incremental_unassign([TopicPartition(*place)])
        return found

    def _lag(
        self,
        key: tuple[str, str],
        stored: Mapping[Place, int],
        behind: Mapping[Place, int],
        ends: Mapping[Place, int],
        oldest: Mapping[tuple[str, str, int], float | None],
    ) -> Lag:
        service, topic = key
        told = [oldest[(service, *place)] for place in behind if (service, *place) in oldest]
        ages = [max(self._seconds() - at, 0.0) for at in told if at is not None]
        seconds = max(ages, default=0.0 if told or not behind else None) if _of(stored, ends) == stored else None
        trend = _trend(self._before[key], seconds) if key in self._before else Trend.UNKNOWN
        return Lag(service, topic, seconds, trend, sum(behind.values()), len(behind), len(stored))


def _of(stored: Mapping[Place, int], places: Collection[Place]) -> dict[Place, int]:
    return {place: offset for place, offset in stored.items() if place in places}


def _behind(stored: Mapping[Place, int], ends: Mapping[Place, int]) -> dict[Place, int]:
    """Return how many records each partition has that are not handled, where there are any."""
    return {place: ends[place] - offset for place, offset in stored.items() if ends.get(place, 0) > offset}


def _sample(found: Iterable[Mapping[Place, int]]) -> list[Place]:
    """Return the partitions to read, of each subscription those with most to do."""
    chosen = [place for one in found for place in sorted(one, key=one.__getitem__, reverse=True)[:_SAMPLE]]
    return chosen[:_MOST]


def _trend(before: float | None, now: float | None) -> Trend:
    if before is None or now is None:
        return Trend.UNKNOWN
    if abs(now - before) < _STEADY_SECONDS:
        return Trend.STEADY
    return Trend.RISING if now > before else Trend.FALLING
