"""Where a partition's records come from: from this process alone, or from others too. `fetching.py` waits at Kafka for
others', and only looks for them now and then where there have been none.
"""

from collections import Counter
from collections.abc import Collection

from orderflow_runtime.core.event_log import Partition

_LOCAL_SECONDS = 5.0
"""How long partitions count as local after something was handed in of one of them."""
_FOREIGN_SECONDS = 10.0
"""How long it does not after something came that this process had not written."""
_LONG_AGO = float("-inf")


class Origins:
    """What is known of each partition. Times are of a monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._own_at: dict[Partition, float] = {}
        self._foreign_at: dict[Partition, float] = {}
        self._unknown: Counter[Partition] = Counter()
        """records that Kafka sent and this process has not told of, be it that it will yet; less those it will send"""
        self._least: dict[Partition, int] = {}
        """the fewest that were unknown since the last judgement"""

    def local(self, partitions: Collection[Partition], now: float) -> set[Partition]:
        """Return where nobody else has written lately; none where this process has not written to any either."""
        if all(now - self._own_at.get(partition, _LONG_AGO) >= _LOCAL_SECONDS for partition in partitions):
            return set()
        return {p for p in partitions if now - self._foreign_at.get(p, _LONG_AGO) >= _FOREIGN_SECONDS}

    def note_fetched(self, partition: Partition, records: int) -> None:
        """Note records that came from Kafka."""
        self._unknown[partition] += records

    def note_own(self, partition: Partition, records: int, now: float) -> None:
        """Note that this process has written records; `records` of them came from Kafka before it told, or will."""
        self._own_at[partition] = now
        self._unknown[partition] -= records
        left = self._unknown[partition]
        self._least[partition] = min(left, self._least.get(partition, left))

    def judge(self, partitions: Collection[Partition], now: float) -> None:
        """Take for others' what has been unknown since the last judgement."""
        for partition in partitions & self._unknown.keys():
            if self._least.get(partition, 0) > 0:
                self._foreign_at[partition] = now
                self._unknown[partition] = 0
            self._least[partition] = self._unknown[partition]

    def forget(self, partition: Partition) -> None:
        """Forget a partition that is read no more, or elsewhere."""
        for known in self._own_at, self._foreign_at, self._unknown, self._least:
            known.pop(partition, None)
