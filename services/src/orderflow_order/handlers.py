"""The order service's handlers, run by the runtime in its transaction: load, decide, save, publish."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from orderflow_order import domain, store
from orderflow_order.commands import Cancel, Decision, NotPlaced, Outcome, Place, Placement, Refused, Resume, Standing
from orderflow_order.domain import Order, OrderRefusedError, State, Step, Timer
from orderflow_runtime import Event, Fired, Received, Reply, Submitted, Transaction

DEADLINE = "deadline"
"""The name of the timer that bounds an order's progress, and then its compensations."""

_log = logging.getLogger(__name__)


class UnknownOrderError(Exception):
    """An event tells of an order that was never placed here: a stray, fit for the dead letters."""


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

    async def place(self, commands: Sequence[Submitted[Place]], tx: Transaction) -> list[Reply[Placement]]:
        """Store new orders; answer a repeated key with the order it made."""
        at = self.clock()
        steps = {one.key: domain.place(one.command.order, at) for one in commands}
        inserted = await store.insert(tx, [(steps[one.key].order, one.command.order, one.trace) for one in commands])
        known = await store.placed(tx, [key for key in steps if key not in inserted])
        for key in inserted:
            self._set_timer(steps[key], tx)
        return [_placed(one.command, steps[one.key], known.get(one.key)) for one in commands]

    async def cancel(self, commands: Sequence[Submitted[Cancel]], tx: Transaction) -> list[Reply[Decision]]:
        """Cancel for the customer."""
        return await self._decide(domain.cancel, commands, tx)

    async def resume(self, commands: Sequence[Submitted[Resume]], tx: Transaction) -> list[Reply[Decision]]:
        """Let the operator try failed compensations again."""
        return await self._decide(domain.resume, commands, tx)

    async def _decide(
        self, decide: Callable[[Order, datetime], Step], commands: Sequence[Submitted[Any]], tx: Transaction
    ) -> list[Reply[Decision]]:
        orders, at = await store.load(tx, [command.key for command in commands]), self.clock()
        results = [_attempt(decide, orders.get(command.key), at) for command in commands]
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


def _placed(command: Place, step: Step, known: store.Placed | None) -> Reply[Placement]:
    if known is None:
        return Reply(Standing(command.key, step.order.state, None, Outcome.CREATED), step.publish)
    if known.body != store.body(command.order):
        return Reply(Outcome.KEY_REUSED, trace=known.trace)
    return Reply(Standing(command.key, known.state, known.reason), trace=known.trace)


def _attempt(
    decide: Callable[[Order, datetime], Step], order: Order | None, at: datetime
) -> Step | NotPlaced | Refused:
    if order is None:
        return NotPlaced()
    try:
        return decide(order, at)
    except OrderRefusedError as refusal:
        return Refused(str(refusal))


def _answer(result: Step | NotPlaced | Refused, found: Order | None) -> Reply[Decision]:
    trace = found.trace if found else None
    if not isinstance(result, Step):
        return Reply(result, trace=trace)
    order = result.order
    return Reply(Standing(order.id, order.state, order.reason), result.publish, trace)
