"""What payment does with each event and answer: load, decide by `domain`, save, call, publish."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from orderflow_payment import store
from orderflow_payment.domain import CAPTURE, REFUND, Payment, Step, cancel, captured, charge, refunded
from orderflow_runtime import (
    Call,
    CallOutcome,
    Event,
    EventHandler,
    Measure,
    OutcomeHandler,
    Port,
    Received,
    Service,
    Transaction,
)
from orderflow_shop.events import (
    OrderCancelled,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    StockReserved,
)

E = TypeVar("E", bound=Event)

_SUM = "SELECT coalesce(sum({}), 0) AS value FROM payment"


class _Keyed(Protocol):
    @property
    def key(self) -> str: ...


K = TypeVar("K", bound=_Keyed)


def payment_service(capture: Port, refund: Port) -> Service:
    """Return the service that takes and returns money by these two ports."""
    return Service(
        name="payment",
        handlers={StockReserved: _on_event(charge), OrderCancelled: _on_event(cancel)},
        publishes=frozenset({PaymentProcessed, PaymentFailed, PaymentRefunded}),
        calls={
            CAPTURE: Call(capture, _on_outcome(captured)),
            REFUND: Call(refund, _on_outcome(refunded)),
        },
        measures=tuple(
            Measure(f"orderflow_payment_{sum_of}_cents", f"All money {sum_of}", _SUM.format(sum_of))
            for sum_of in ("captured", "refunded")
        ),
    )


def _on_event(rule: Callable[[Payment | None, E], Step]) -> EventHandler:
    async def handle(events: Sequence[Received[E]], tx: Transaction) -> Iterable[Event]:
        return await _decide(tx, events, lambda row, event: rule(row, event.event))

    return handle


def _on_outcome(rule: Callable[[Payment | None, Mapping[str, Any]], Step]) -> OutcomeHandler:
    async def handle(outcomes: Sequence[CallOutcome], tx: Transaction) -> Iterable[Event]:
        return await _decide(tx, outcomes, lambda row, outcome: rule(row, outcome.result))

    return handle


async def _decide(tx: Transaction, items: Sequence[K], rule: Callable[[Payment | None, K], Step]) -> list[Event]:
    rows = await store.load(tx, [item.key for item in items])
    steps = [rule(rows.get(item.key), item) for item in items]
    changed = [step.row for step in steps if step.row and step.row is not rows.get(step.row.order_id)]
    await store.insert(tx, [row for row in changed if row.order_id not in rows])
    await store.update(tx, [row for row in changed if row.order_id in rows])
    for step in steps:
        if step.row and step.call:
            tx.call(step.call.kind, step.row.order_id, step.call.request, step.call.idempotency_key)
    return [event for step in steps for event in step.events]
