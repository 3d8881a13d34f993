"""A node that answers fetches in sessions, in memory."""

import asyncio
from collections import defaultdict
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from orderflow_runtime.core.event_log import Partition
from orderflow_runtime.kafka.fetching import SessionFetch


def batch(begin: int, values: list[bytes]) -> bytes:
    """Records as a broker stores them."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 100_000)
    for n, value in enumerate(values):
        builder.append(n, 1_000, b"k", value, [])
    built = builder.build()
    built[:8] = begin.to_bytes(8, "big")
    return bytes(built)


class Leader:
    """A node that leads all partitions and keeps sessions as KIP-227 says; also the client and the cluster it is in."""

    def __init__(self) -> None:
        self.log: defaultdict[Partition, list[bytes]] = defaultdict(list)
        self.requests: list[SessionFetch] = []
        self.failures: list[Exception] = []
        self.keeps = True
        self.session = 0
        self._epoch = 0
        self._offsets: dict[Partition, int] = {}
        self._grown = asyncio.Event()
        self.cluster = SimpleNamespace(leader_for_partition=lambda _: 1)
        self._conns: dict[object, object] = {}

    def write(self, partition: Partition, *values: bytes) -> None:
        """Append records."""
        self.log[partition] += values
        self._grown.set()

    def force_metadata_update(self) -> None:
        """Nothing is known anew."""

    async def ready(self, _: int) -> bool:
        """Return that it is connected."""
        return True

    async def send(self, _: int, request: SessionFetch) -> Any:
        """Answer once there is something."""
        self.requests.append(request)
        if self.failures:
            raise self.failures.pop(0)
        if request.epoch == 0:
            self.session, self._epoch, self._offsets = self.session + 1, 0, {}
        elif (request.session, request.epoch) != (self.session, self._epoch + 1):
            return SimpleNamespace(error_code=70, session_id=0, topics=[])
        else:
            self._epoch = request.epoch
        self._offsets |= request.changed
        for partition in request.forgotten:
            del self._offsets[partition]
        self._grown.clear()
        if not (found := self._found()):
            with suppress(TimeoutError):
                async with asyncio.timeout(request.wait_ms / 1000):
                    await self._grown.wait()
            found = self._found()
        return SimpleNamespace(error_code=0, session_id=self.session if self.keeps else 0, topics=found)

    def _found(self) -> list[Any]:
        found: list[Any] = []
        for (topic, number), at in self._offsets.items():
            log = self.log[Partition(topic, number)]
            if at > len(log):
                found.append((topic, [(number, 1, -1, 0, 0, [], -1, b"")]))
            elif log[at:]:
                found.append((topic, [(number, 0, len(log), len(log), 0, [], -1, batch(at, log[at:]))]))
        return found
