"""The order service's handlers, run by the runtime in its transaction: load, decide, save, publish."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from orderflow_order import domain, store
from orderflow_order.domain import Order, OrderRefusal, State, Step, Timer
from orderflow_runtime import Command, Event, Fired, Received, Reply, Transaction
from orderflow_shop.events import CancelReason

DEADLINE = "deadline"
"""The name of the timer that bounds an order's progress, and then its compensations."""

_log = logging.getLogger(__name__)


class UnknownOrderError(Exception):
    """An event tells of an order that was never placed here: a stray, fit for the dead letters."""


class Outcome(Enum):
    """What became of a placement."""

    CREATED = "created"
    REPEATED = "repeated"
    KEY_REUSED = "key reused"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an order stands: the reply of every command that goes through."""

    id: str
    state: State
    reason: CancelReason | None
    outcome: Outcome = Outcome.REPEATED


class NotPlacedError(OrderRefusal):
    """A cancel or resume of an order that does not exist."""


@dataclass(frozen=True, slots=True)
class Handlers:
    """The handler table's functions. `deadline` bounds progress; `clock` gives UTC, for the history only."""

    deadline: timedelta
    clock: Callable[[], datetime]

    async def receive(self, events: Sequence[Received[Any]], tx: Transaction) -> list[Event]:
        """Take in events of any subscribed type."""
        orders = await store.load(tx, [event.key for event in events])
        steps = [domain.apply(_known(orders, event.key), event.event, event.time) for event in events]
        return await self._finish(steps, tx)

    async def expire(self, timers: Sequence[Fired], tx: Transaction) -> list[Event]:
        """Let deadlines pass."""
        orders, at = await store.load(tx, [timer.key for timer in timers]), self.clock()
        return await self._finish([domain.deadline(order, at) for order in orders.values()], tx)

    async def place(self, commands: Sequence[Command], tx: Transaction) -> list[Reply]:
        """Store new orders, each command's payload; answer a repeated key with the order it made."""
        at = self.clock()
        steps = {command.key: domain.place(command.payload, at) for command in commands}
        inserted = await store.insert(tx, [(steps[c.key].order, c.payload, c.trace) for c in commands])
        known = await store.placed(tx, [key for key in steps if key not in inserted])
        for key in inserted:
            self._set_timer(steps[key], tx)
        return [_placed(command, steps[command.key], known.get(command.key)) for command in commands]

    async def cancel(self, commands: Sequence[Command], tx: Transaction) -> list[Reply]:
        """Cancel for the customer."""
        return await self._decide(domain.cancel, commands, tx)

    async def resume(self, commands: Sequence[Command], tx: Transaction) -> list[Reply]:
        """Let the operator try failed compensations again."""
        return await self._decide(domain.resume, commands, tx)

    async def _decide(
        self, decide: Callable[[Order, datetime], Step], commands: Sequence[Command], tx: Transaction
    ) -> list[Reply]:
        orders, at = await store.load(tx, [command.key for command in commands]), self.clock()
        results = [_attempt(decide, orders.get(command.key), command.key, at) for command in commands]
        await self._finish([step for step in results if isinstance(step, Step)], tx)
        return [_answer(result, orders.get(command.key)) for result, command in zip(results, commands, strict=True)]

    async def _finish(self, steps: Sequence[Step], tx: Transaction) -> list[Event]:
        changed = [step for step in steps if step.order.news]
        await store.save(tx, [step.order for step in changed])
        for step in changed:
            self._set_timer(step, tx)
            _alert(step.order)
        return [event for step in changed for event in step.publish]

    def _set_timer(self, step: Step, tx: Transaction) -> None:
        if step.timer is Timer.SET:
            tx.set_timer(DEADLINE, step.order.id, self.deadline)
        elif step.timer is Timer.STOP:
            tx.cancel_timer(DEADLINE, step.order.id)


def _known(orders: Mapping[str, Order], key: str) -> Order:
    if key not in orders:
        raise UnknownOrderError(f"order {key} was never placed; place it, then redrive this event")
    return orders[key]


def _alert(order: Order) -> None:
    last = order.news[-1]
    if last.state is State.COMPENSATION_FAILED:
        owed = " and ".join(sorted(order.undo))
        _log.error("compensation failed (%s), still owed: %s; resume it", last.what, owed, extra={"key": order.id})


def _placed(command: Command, step: Step, known: store.Placed | None) -> Reply:
    if known is None:
        return Reply(Standing(command.key, step.order.state, None, Outcome.CREATED), step.publish)
    if known.body != store.body(command.payload):
        return Reply(Outcome.KEY_REUSED, trace=known.trace)
    return Reply(Standing(command.key, known.state, known.reason), trace=known.trace)


def _attempt(
    decide: Callable[[Order, datetime], Step], order: Order | None, key: str, at: datetime
) -> Step | OrderRefusal:
    if order is None:
        return NotPlacedError(f"there is no order {key}")
    try:
        return decide(order, at)
    except OrderRefusal as refusal:
        return refusal


def _answer(result: Step | OrderRefusal, found: Order | None) -> Reply:
    trace = found.trace if found else None
    if isinstance(result, OrderRefusal):
        return Reply(result, trace=trace)
    order = result.order
    return Reply(Standing(order.id, order.state, order.reason), result.publish, trace)
