"""Where HTTP hands in commands. Those that come together share one transaction and so one fsync.

What a command publishes has no source partition: it goes to the outbox shard of its key, and the owner of the
like-numbered partition of the service's first topic publishes it (`outbox_relay.py`). A call goes to the same owner.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orderflow_contracts.event import Event
from orderflow_runtime.command import Command, R, Reply, Submitted, TooLarge, TooManyCommandsError, UnavailableError
from orderflow_runtime.core.event_log import Partition, partition_of
from orderflow_runtime.core.retryable import Retryable
from orderflow_runtime.core.store import BatchTransaction, CallRow, Conflict, OutboxRow, Store, StoreUnavailable
from orderflow_runtime.dispatch.effects import Effects, Publisher
from orderflow_runtime.dispatch.handler_call import call_handler
from orderflow_runtime.dispatch.propagation import CommandTrace, Propagation
from orderflow_runtime.service import CommandHandler, EventTooLargeError
from orderflow_runtime.tracing.trace_context import read_trace

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 500
MOST_WAITING = 5_000
_TRIES = 5

ShardOf = Callable[[str], Partition]


@dataclass(slots=True)
class _Pending:
    key: str
    command: Submitted[Any]
    answer: "asyncio.Future[Any]"
    place: CommandTrace


class CommandBus:
    """An `Intake`. `hand_on` is called with the outbox rows that were committed, `observe` with the events in them,
    `begin` with the calls that were asked for.

    `timeout` is how many seconds a handler may take for one call.
    """

    def __init__(
        self,
        handlers: Mapping[type[Command[Any]], CommandHandler],
        store: Store,
        publisher: Publisher,
        hand_on: Callable[[Sequence[OutboxRow]], None],
        begin: Callable[[Sequence[CallRow]], None],
        observe: Callable[[Sequence[Event]], None],
        propagation: Propagation,
        timeout: float,
    ) -> None:
        self._timeout = timeout
        self._observe = observe
        self._propagation = propagation
        self._handlers = handlers
        self._store = store
        self._publisher = publisher
        self._hand_on = hand_on
        self._begin = begin
        self._queue: asyncio.Queue[_Pending] = asyncio.Queue(MOST_WAITING)

    async def submit(self, command: Command[R]) -> R | TooLarge:
        """Hand in one command; raise `UnavailableError` when it was not committed, or whether it was is not known."""
        return (await self.submit_all([command]))[0]

    async def submit_all(self, commands: Sequence[Command[R]]) -> Sequence[R | TooLarge]:
        """Hand in many of one kind."""
        if not commands:
            return ()
        if len(commands) > MOST_WAITING:
            raise TooManyCommandsError(f"split {len(commands)} commands: at most {MOST_WAITING} are taken at once")
        pending = self._pending(commands)
        if self._queue.qsize() + len(pending) > MOST_WAITING:
            raise UnavailableError(f"{self._queue.qsize()} commands are waiting already; try again later")
        for one in pending:
            self._queue.put_nowait(one)
        answers = [one.answer for one in pending]
        await asyncio.wait(answers)
        if failed := [error for answer in answers if (error := answer.exception())]:
            raise failed[0]
        return [answer.result() for answer in answers]

    def _pending(self, commands: Sequence[Command[Any]]) -> list[_Pending]:
        loop = asyncio.get_running_loop()
        keys = [command.key for command in commands]
        places = self._propagation.commanded(commands[0].NAME, keys)
        return [
            _Pending(key, Submitted(command, place.trace.text()), loop.create_future(), place)
            for key, command, place in zip(keys, commands, places, strict=True)
        ]

    async def read(self, query: str, *args: object) -> Sequence[Mapping[str, Any]]:
        """Query outside the commands' transactions."""
        try:
            return await self._store.read(query, *args)
        except Retryable as error:
            raise UnavailableError(str(error)) from error

    async def run(self, shard_of: ShardOf) -> None:
        """Commit what comes, group by group, until it is cancelled; `shard_of` says to which shard a key belongs."""
        group: list[_Pending] = []
        try:
            while True:
                group = [await self._queue.get(), *self._waiting(MOST_AT_ONCE - 1)]
                await self._commit(group, shard_of)
        finally:
            _refuse([*group, *self._waiting(MOST_WAITING)], UnavailableError("the service ends"))

    def _waiting(self, limit: int) -> list[_Pending]:
        """Take what waits, without waiting for more."""
        return [self._queue.get_nowait() for _ in range(min(limit, self._queue.qsize()))]

    async def _commit(self, group: Sequence[_Pending], shard_of: ShardOf) -> None:
        """Commit the group; if a handler fails, each command by itself, so that none spoils another."""
        try:
            replies = await self._transact(group, shard_of)
        except Exception as error:
            if len(group) == 1 or isinstance(error, StoreUnavailable):
                _refuse(group, error)
                return
            for one in group:
                await self._commit([one], shard_of)
            return
        for one, reply in zip(group, replies, strict=True):
            if not one.answer.done():
                one.answer.set_result(reply.value)

    async def _transact(self, group: Sequence[_Pending], shard_of: ShardOf) -> list[Reply[Any]]:
        for _ in range(_TRIES - 1):
            try:
                return await self._try(group, shard_of)
            except Conflict as error:
                logger.info("%d commands run again: %s", len(group), error)
        return await self._try(group, shard_of)

    async def _try(self, group: Sequence[_Pending], shard_of: ShardOf) -> list[Reply[Any]]:
        replies: dict[int, Reply[Any]] = {}
        async with self._store.intake_transaction() as tx:
            effects = Effects(tx, shard_of)
            effects.causes = {one.key: one.place.trace for one in group}
            for kind, turn in _turns(group):
                commands = [group[i].command for i in turn]
                answers = await call_handler(self._handlers[kind], commands, effects, self._timeout)
                replies |= zip(turn, answers, strict=True)
            await self._send([(group[index], reply) for index, reply in replies.items()], effects, tx)
            writes = effects.writes(intake=True)
            rows = await tx.close(writes)
        self._hand_on(rows)
        self._begin(writes.calls)
        self._observe([event for reply in replies.values() for event in reply.publish])
        return [replies[i] for i in range(len(group))]

    async def _send(
        self, replies: Sequence[tuple[_Pending, Reply[Any]]], effects: Effects, tx: BatchTransaction
    ) -> None:
        for one, reply in replies:
            if reply.trace:
                effects.carry_on(one.key, one.place.join(read_trace(reply.trace).told()))
        caused = [(event, one.place.trace) for one, reply in replies for event in reply.publish]
        messages = await self._publisher.messages(tx, [event for event, _ in caused], [cause for _, cause in caused])
        for (event, _), message in zip(caused, messages, strict=True):
            effects.send(message, event.key)


def shards_of(topic: str, count: int) -> ShardOf:
    """Return how keys are spread over the shards of a topic, like its partitions."""
    return lambda key: Partition(topic, partition_of(key.encode(), count))


def _turns(group: Sequence[_Pending]) -> list[tuple[type[Command[Any]], list[int]]]:
    """Group commands for handler calls: one kind each, a key at most once each, each key's commands in order."""
    count: dict[str, int] = defaultdict(int)
    turns: dict[tuple[int, type[Command[Any]]], list[int]] = {}
    for index, one in enumerate(group):
        turns.setdefault((count[one.key], type(one.command.command)), []).append(index)
        count[one.key] += 1
    return [(at[1], turns[at]) for at in sorted(turns, key=lambda at: at[0])]


def _refuse(group: Sequence[_Pending], error: Exception) -> None:
    if isinstance(error, Retryable):
        error = UnavailableError(str(error))
    for one in group:
        if one.answer.done():
            continue
        if isinstance(error, EventTooLargeError):
            # the command's own fault, which is no reason to hide what became of others
            one.answer.set_result(TooLarge(str(error)))
        else:
            one.answer.set_exception(error)
