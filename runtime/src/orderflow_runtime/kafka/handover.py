"""Hands what a process has written to Kafka to its own consumers, which would be sent it again.

Kafka has acknowledged it and told at which offset it stands. A consumer takes it where that is the very offset at which
it reads on, so that nothing lies between; all else it asks Kafka for. Nothing of what is promised rests on this:
offsets, leases and the inbox are what they are for fetched records, and a process that dies has handed over nothing
that the log does not hold.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orderflow_runtime.core.event_log import Partition, Record


@dataclass(frozen=True, slots=True)
class Part:
    """Records of a partition from `begin` up to `end`; offsets between them hold none.

    `source` is where they came from, by a `way`: from another source the same way, there may be another log.
    """

    partition: Partition
    begin: int
    end: int
    records: Sequence[Record]
    way: str
    source: object


class Handover:
    """The consumers of one process, and what its producers tell them."""

    def __init__(self) -> None:
        self._takers: list[Callable[[Part], None]] = []

    def join(self, take: Callable[[Part], None]) -> None:
        """Have a consumer told of what is written from now on."""
        self._takers.append(take)

    def leave(self, take: Callable[[Part], None]) -> None:
        """Tell it no more."""
        self._takers.remove(take)

    def offer(self, part: Part) -> None:
        """Tell all of acknowledged records."""
        for take in self._takers:
            take(part)
