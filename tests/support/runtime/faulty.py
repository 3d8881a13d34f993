"""A service that dies: its own composition root around the production parts, with a SIGKILL at a named point.

Run as `python faulty.py SERVICE POINT PASS`, with all services of the process behind it where there are several: it
works as ever and kills itself when the service comes to the point for the PASS-th time. Production code knows nothing
of it: the core takes its log and store as arguments, and these subclasses pass everything on. A service that publishes
nothing (notification) hands on its calls instead, so its last three points lie around a call.
"""

import importlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import uvloop

from orderflow_model import environment
from orderflow_model.names import schema_name
from orderflow_runtime.app import host_service, kafka_settings
from orderflow_runtime.core.event_log import Message, Stretch
from orderflow_runtime.core.store import BatchClaim, BatchWrites, ClaimResult, OutboxRow
from orderflow_runtime.dispatch.effects import Clock
from orderflow_runtime.host import HostedService, run
from orderflow_runtime.kafka.handover import Handover
from orderflow_runtime.kafka.kafka_log import KafkaLog, KafkaSettings
from orderflow_runtime.observability import logs
from orderflow_runtime.postgres.postgres_store import PostgresStore
from orderflow_runtime.postgres.transaction import PostgresTransaction
from orderflow_runtime.service import Call, Port
from orderflow_runtime.settings import required

AFTER_FETCH = "after-fetch"
AFTER_INBOX = "after-inbox"
MID_TRANSACTION = "mid-transaction"
AFTER_COMMIT = "after-commit-before-publish"
MID_PUBLISH = "mid-publish"
AFTER_PUBLISH = "after-publish-before-delete"
POINTS = (AFTER_FETCH, AFTER_INBOX, MID_TRANSACTION, AFTER_COMMIT, MID_PUBLISH, AFTER_PUBLISH)

INTAKE_MID_TRANSACTION = "intake-mid-transaction"
INTAKE_AFTER_COMMIT = "intake-after-commit"
INTAKE_POINTS = (INTAKE_MID_TRANSACTION, INTAKE_AFTER_COMMIT)
"""Only the order service has an intake: an HTTP request dies with its answer not given."""


class Fate:
    """Counts the passes of one point, and ends the process at the last."""

    def __init__(self, point: str, passes: int) -> None:
        self.point = point
        self._left = passes

    def last(self, point: str) -> bool:
        """Tell whether this pass of a point is the one to die at."""
        if point != self.point:
            return False
        self._left -= 1
        return self._left == 0

    def meet(self, point: str) -> None:
        """Die if it is time."""
        if self.last(point):
            die()


def die() -> None:
    """End at once, as `kill -9` does: nothing is flushed, closed or said."""
    os.kill(os.getpid(), signal.SIGKILL)


class DyingLog(KafkaLog):
    """Kafka, with the points around reading and publishing."""

    def __init__(self, settings: KafkaSettings, handover: Handover, fate: Fate) -> None:
        super().__init__(settings, handover)
        self._fate = fate

    async def fetch(self, limit: int, wait: float) -> Sequence[Stretch]:
        """Read, and perhaps die with records in hand."""
        stretches = await super().fetch(limit, wait)
        if any(stretch.records for stretch in stretches):
            self._fate.meet(AFTER_FETCH)
        return stretches

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish, and perhaps die before, in the middle, or after the acknowledgement."""
        self._fate.meet(AFTER_COMMIT)
        if len(messages) > 1 and self._fate.last(MID_PUBLISH):
            await super().publish(messages[: len(messages) // 2])
            die()
        await super().publish(messages)
        self._fate.meet(AFTER_PUBLISH)


class DyingTransaction(PostgresTransaction):
    """A batch's transaction, with the points inside it."""

    fate: Fate
    intake = False

    async def expect(self, claim: BatchClaim, timers: Sequence[tuple[str, str]], calls: Sequence[str]) -> None:
        """Claim the batch, and perhaps die with the inbox filled."""
        await super().expect(claim, timers, calls)
        if claim.inbox and self.fate.last(AFTER_INBOX):
            await self.fetch("SELECT 1")  # with which the claim goes out
            die()

    async def open(self, claim: BatchClaim) -> ClaimResult:
        """Claim the batch with care, and perhaps die with the inbox filled."""
        result = await super().open(claim)
        if claim.inbox:
            self.fate.meet(AFTER_INBOX)
        return result

    async def close(self, writes: BatchWrites) -> list[OutboxRow]:
        """Perhaps die with all business rows written; else write what is owed."""
        if writes.outbox or writes.calls:
            self.fate.meet(INTAKE_MID_TRANSACTION if self.intake else MID_TRANSACTION)
        return await super().close(writes)


class DyingStore(PostgresStore):
    """Postgres, its transactions watched."""

    def __init__(self, dsn: str, schema: str, fate: Fate) -> None:
        super().__init__(dsn, schema)
        self._fate = fate

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        """The worker's transaction."""
        async with super().transaction() as tx:
            yield self._watched(tx)

    @asynccontextmanager
    async def intake_transaction(self) -> AsyncIterator[PostgresTransaction]:
        """The intake's transaction; perhaps die when it is committed and nobody knows."""
        async with super().intake_transaction() as tx:
            watched = self._watched(tx)
            watched.intake = True
            yield watched
        self._fate.meet(INTAKE_AFTER_COMMIT)

    def _watched(self, tx: PostgresTransaction) -> DyingTransaction:
        watched = DyingTransaction(tx._connection, tx._translating)
        watched.fate = self._fate
        return watched


class DyingPort:
    """A way to the outside, with the points around a call."""

    def __init__(self, port: Port, fate: Fate) -> None:
        self._port = port
        self._fate = fate

    async def perform(self, request: Mapping[str, Any], idempotency_key: str) -> dict[str, Any]:
        """Perform, and perhaps die before, in the middle (for all that one can see outside), or after."""
        self._fate.meet(AFTER_COMMIT)
        if self._fate.last(MID_PUBLISH):
            messages = request["messages"]
            await self._port.perform({**request, "messages": messages[: len(messages) // 2]}, idempotency_key)
            die()
        result = await self._port.perform(request, idempotency_key)
        self._fate.meet(AFTER_PUBLISH)
        return result

    async def lookup(self, idempotency_key: str) -> dict[str, Any] | None:
        """Ask."""
        return await self._port.lookup(idempotency_key)


def doomed(one: HostedService, handover: Handover, fate: Fate) -> HostedService:
    """Give the service with a store and a log that die, and with dying ports if its calls are all it hands on."""
    service, settings = one.service, one.settings
    if not service.publishes:
        calls = {kind: Call(DyingPort(call.port, fate), call.handler) for kind, call in service.calls.items()}
        service = replace(service, calls=calls)
    store = DyingStore(required(settings.env, environment.DATABASE_URL), schema_name(service.name), fate)
    log = DyingLog(kafka_settings(settings), handover, fate)
    return replace(one, service=service, consumer=log, producer=log, store=store, stop=store.stop)


def main(name: str, point: str, passes: str, *together: str) -> None:
    """Build the services of the process as their own `__main__`s do, and run them until the fate of one."""
    handover = Handover()
    hosted = [
        host_service(
            importlib.import_module(f"orderflow_{each}.__main__").build,
            environment.own_environment(each, os.environ),
            handover,
        )
        for each in together or [name]
    ]
    fate = Fate(point, int(passes))
    logs.set_up(hosted[0].settings.config.flow, name, "INFO")
    uvloop.run(run([doomed(one, handover, fate) if one.name == name else one for one in hosted], Clock()))


if __name__ == "__main__":
    main(*sys.argv[1:])
