"""The reference flow in memory: every service's own rules over a bus that keeps order per topic and key only.

The saga tests drive it step by step. Whatever is possible next is an `Action`; which comes next is the test's choice.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from orderflow_contracts.event import Event
from orderflow_inventory import domain as inventory
from orderflow_notification import domain as notification
from orderflow_order import domain as order
from orderflow_payment import domain as payment
from orderflow_shipping import domain as shipping
from orderflow_shop.events import (
    Address,
    Customer,
    InventoryUpdated,
    Line,
    OrderCancelled,
    OrderCreated,
    PaymentFailed,
    PaymentMethod,
    PaymentProcessed,
    PaymentRefunded,
    StockReserved,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
ADDRESS = Address(name="Ann", street="Main St 1", city="Ghent", postcode="9000", country="BE")

_INVENTORY: Mapping[type[Event], Callable[..., inventory.Step]] = {
    OrderCreated: inventory.reserve,
    PaymentProcessed: inventory.sell,
    PaymentFailed: inventory.release,
    OrderCancelled: inventory.cancel,
    PaymentRefunded: inventory.restock,
}
_PAYMENT: Mapping[type[Event], Callable[..., payment.Step]] = {
    StockReserved: payment.charge,
    OrderCancelled: payment.cancel,
}
_SHIPPING: Mapping[type[Event], Callable[..., shipping.Step]] = {
    InventoryUpdated: shipping.ship,
    OrderCancelled: shipping.cancel,
}
SUBSCRIPTIONS: Mapping[str, frozenset[type[Event]]] = {
    "order": frozenset(order.SUBSCRIBES),
    "inventory": frozenset(_INVENTORY),
    "payment": frozenset(_PAYMENT),
    "shipping": frozenset(_SHIPPING),
    "notification": frozenset(notification.SUBSCRIBES),
}


@dataclass(frozen=True)
class Plan:
    """An order to come, and what the outside will do to it."""

    key: str = "o1"
    lines: tuple[tuple[str, int, int], ...] = (("apple", 2, 300),)
    allow_partial: bool = False
    country: str = "BE"
    declined: bool = False
    refusals: int = 0
    """How many refunds the provider refuses for good."""
    cancels: bool = False
    """Whether the customer may cancel."""

    def created(self) -> OrderCreated:
        """Give the order's first event."""
        return OrderCreated(
            order_id=self.key,
            customer=Customer(id="c1", email="ann@example.org", name="Ann"),
            lines=tuple(Line(sku=sku, quantity=n, unit_price=price) for sku, n, price in self.lines),
            currency="EUR",
            payment=PaymentMethod(token="tok"),  # noqa: S106 - a made-up token
            ship_to=ADDRESS.model_copy(update={"country": self.country}),
            allow_partial=self.allow_partial,
        )


class Action(NamedTuple):
    """Something that may happen next; `subject` is a service and event type, or a call's idempotency key."""

    what: str
    key: str
    subject: tuple[str, ...] = ()


class Asked(NamedTuple):
    """A call to the provider: `result` is None until it was performed."""

    key: str
    kind: str
    request: Mapping[str, Any]
    result: Mapping[str, Any] | None = None


class Account(NamedTuple):
    """What the provider itself did for one order."""

    captured: int = 0
    refunded: int = 0
    refused: int = 0


Queue = tuple[str, str, str]
"""Service, event type, key: what keeps its order."""


@dataclass
class World:
    """The state of everything: rows by service and key, stock as (on hand, reserved, sold), queues, calls, timers."""

    plans: Mapping[str, Plan]
    initial: Mapping[str, int]
    stock: dict[str, tuple[int, int, int]]
    rows: dict[tuple[str, str], Any] = field(default_factory=dict)
    queues: dict[Queue, tuple[tuple[int, Event], ...]] = field(default_factory=dict)
    calls: dict[str, Asked] = field(default_factory=dict)
    provider: dict[str, Account] = field(default_factory=dict)
    timers: frozenset[str] = frozenset()
    count: dict[tuple[str, str], int] = field(default_factory=dict)
    inbox: frozenset[tuple[Queue, int]] = frozenset()
    told: tuple[tuple[str, str], ...] = ()
    resumes: int = 0
    marks: dict[int, tuple[Any, int]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, *plans: Plan, stock: Mapping[str, int] | None = None, resumes: int = 2) -> "World":
        """Make a world in which these orders have just been placed; `resumes` is the operator's patience."""
        on_hand = {"apple": 10} if stock is None else stock
        stock_now = {sku: (units, 0, 0) for sku, units in on_hand.items()}
        world = cls({plan.key: plan for plan in plans}, on_hand, stock_now, resumes=resumes)
        for plan in plans:
            world._decided(order.place(plan.created(), AT))
        return world

    def copy(self) -> "World":
        """Give a world that goes its own way from here."""
        twin = copy(self)
        for table in ("stock", "rows", "queues", "calls", "provider", "count"):
            setattr(twin, table, getattr(self, table).copy())
        return twin

    def fingerprint(self) -> tuple[Any, ...]:
        """Give a value that is equal for worlds that will behave alike. Rows and events are hashed once each."""
        rows = frozenset([(name, self._mark(row)) for name, row in self.rows.items()])
        queues = frozenset([(q, *[self._mark(event) for _, event in events]) for q, events in self.queues.items()])
        calls = frozenset([(name, call.result is None) for name, call in self.calls.items()])
        tables = (frozenset(self.stock.items()), frozenset(self.provider.items()), frozenset(self.told))
        return (rows, queues, calls, *tables, self.timers, self.resumes)

    def _mark(self, value: Any) -> int:
        """Give the hash of a value that never changes, remembered by identity (so the value is kept alive)."""
        found = self.marks.get(id(value))
        if found is None:
            found = self.marks[id(value)] = (value, hash(value))
        return found[1]

    def order_row(self, key: str = "o1") -> order.Order:
        """Give the order's row."""
        found: order.Order = self.rows["order", key]
        return found

    def due(self) -> Iterator[Action]:
        """Give what will happen by itself, sooner or later."""
        for service, event, key in self.queues:
            yield Action("deliver", key, (service, event))
        for name, call in self.calls.items():
            yield Action("perform" if call.result is None else "answer", call.key, (name,))

    def possible(self) -> Iterator[Action]:
        """Give what may or may not happen: a deadline, a customer's change of mind, an operator's attempt."""
        for key in self.timers:
            yield Action("deadline", key)
        for key, plan in self.plans.items():
            state = self.order_row(key).state
            if plan.cancels and state in order.OPEN:
                yield Action("cancel", key)
            if self.resumes and state is order.State.COMPENSATION_FAILED:
                yield Action("resume", key)

    def do(self, action: Action) -> None:
        """Let it happen."""
        _DO[action.what](self, action)

    def do_now(self, what: str, key: str = "o1") -> None:
        """Let the customer cancel, the operator resume or the deadline pass."""
        self.do(Action(what, key))

    def repeat(self, action: Action) -> None:
        """Put the event that is next for delivery a second time behind all that waits with it."""
        service, kind = action.subject
        queue = (service, kind, action.key)
        self.queues[queue] = (*self.queues[queue], self.queues[queue][0])

    def reserved(self) -> int:
        """Give the units held, of any article."""
        return sum(held for _, held, _ in self.stock.values())

    def settle(self, *, hold: Iterable[tuple[str, ...]] = ()) -> "World":
        """Let all that is due happen, first come first served, except what is held: (service, type) or (service,)."""
        held = set(hold)
        while ready := [a for a in self.due() if not _is_held(a, held)]:
            self.do(ready[0])
        return self

    def deliver(self, service: str, event: type[Event], key: str = "o1") -> None:
        """Let a service take the next event of one topic."""
        self.do(Action("deliver", key, (service, event.TYPE)))

    def publish(self, event: Event) -> None:
        """Put an event on the bus."""
        number = self.count.get((event.TYPE, event.key), 0)
        self.count[event.TYPE, event.key] = number + 1
        for service, types in SUBSCRIPTIONS.items():
            if type(event) in types:
                queue = (service, event.TYPE, event.key)
                self.queues[queue] = (*self.queues.get(queue, ()), (number, event))

    def published(self, event: type[Event], key: str = "o1") -> int:
        """Give how often an event was published for an order."""
        return self.count.get((event.TYPE, key), 0)

    def _deliver(self, action: Action) -> None:
        service, kind = action.subject
        queue = (service, kind, action.key)
        (number, event), *rest = self.queues[queue]
        if rest:
            self.queues[queue] = tuple(rest)
        else:
            del self.queues[queue]
        if (queue, number) not in self.inbox:
            self.inbox |= {(queue, number)}
            _RECEIVE[service](self, event)

    def _order(self, event: Event) -> None:
        self._decided(order.apply(self.order_row(event.key), event, AT))

    def _inventory(self, event: Event) -> None:
        shelf = inventory.Shelf({sku: counts[0] for sku, counts in self.stock.items()})
        step = _INVENTORY[type(event)](self.rows.get(("inventory", event.key)), event, shelf)
        for sku, moved in shelf.moved.items():
            on_hand, reserved, sold = (n + d for n, d in zip(self.stock.get(sku, (0, 0, 0)), moved, strict=True))
            self.stock[sku] = (on_hand, reserved, sold)
        self._keep("inventory", event.key, step.row, step.events)

    def _payment(self, event: Event) -> None:
        self._paid(event.key, _PAYMENT[type(event)](self.rows.get(("payment", event.key)), event))

    def _paid(self, key: str, step: payment.Step) -> None:
        if step.call:
            assert step.call.idempotency_key not in self.calls, "a call's key is used once"
            self.calls[step.call.idempotency_key] = Asked(key, step.call.kind, step.call.request)
        self._keep("payment", key, step.row, step.events)

    def _shipping(self, event: Event) -> None:
        step = _SHIPPING[type(event)](self.rows.get(("shipping", event.key)), event)
        self._keep("shipping", event.key, step.row, step.events)

    def _notification(self, event: Event) -> None:
        notice = notification.notice(event)
        if notice and (notice.order_id, notice.kind) not in self.told:
            self.told += ((notice.order_id, notice.kind),)

    def _keep(self, service: str, key: str, row: Any, events: Iterable[Event]) -> None:
        if row is not None:
            self.rows[service, key] = row
        for event in events:
            self.publish(event)

    def _decided(self, step: order.Step) -> None:
        key = step.order.id
        if step.timer is order.Timer.SET:
            self.timers |= {key}
        elif step.timer is order.Timer.STOP:
            self.timers -= {key}
        self._keep("order", key, replace(step.order, news=()), step.publish)

    def _perform(self, action: Action) -> None:
        name, key = action.subject[0], action.key
        call, account, plan = self.calls[name], self.provider.get(key, Account()), self.plans[key]
        if call.kind == payment.CAPTURE:
            taken = 0 if plan.declined else call.request["amount"]
            result = {"outcome": "declined"} if plan.declined else {"outcome": "captured", "reference": "r"}
            account = account._replace(captured=account.captured + taken)
        elif account.refused < plan.refusals:
            result, account = {"outcome": "rejected"}, account._replace(refused=account.refused + 1)
        else:
            result = {"outcome": "refunded"}
            account = account._replace(refunded=account.refunded + call.request["amount"])
        self.calls[name], self.provider[key] = call._replace(result=result), account

    def _answer(self, action: Action) -> None:
        call = self.calls.pop(action.subject[0])
        rule = payment.captured if call.kind == payment.CAPTURE else payment.refunded
        self._paid(call.key, rule(self.rows.get(("payment", call.key)), call.result or {}))

    def _deadline(self, action: Action) -> None:
        self.timers -= {action.key}
        self._decided(order.deadline(self.order_row(action.key), AT))

    def _cancel(self, action: Action) -> None:
        self._decided(order.cancel(self.order_row(action.key), AT))

    def _resume(self, action: Action) -> None:
        self.resumes -= 1
        self._decided(order.resume(self.order_row(action.key), AT))


_RECEIVE: Mapping[str, Callable[[World, Event], None]] = {
    "order": World._order,
    "inventory": World._inventory,
    "payment": World._payment,
    "shipping": World._shipping,
    "notification": World._notification,
}
_DO: Mapping[str, Callable[[World, Action], None]] = {
    "deliver": World._deliver,
    "perform": World._perform,
    "answer": World._answer,
    "deadline": World._deadline,
    "cancel": World._cancel,
    "resume": World._resume,
}


def _is_held(action: Action, held: set[tuple[str, ...]]) -> bool:
    if action.what != "deliver":
        return (action.what,) in held
    return action.subject in held or action.subject[:1] in held
