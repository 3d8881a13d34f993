"""An intake that decides by the order service's own rules, in memory: the front door's tests put the API before it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from orderflow_order import domain, store
from orderflow_order.commands import Cancel, NotPlaced, Outcome, Place, Refused, Resume, Standing
from orderflow_order.domain import Order, OrderRefusedError
from orderflow_runtime.postgres.history import HISTORY
from orderflow_shop.events import OrderCreated

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class OrderDesk:
    """Orders by id, with the bodies they were placed with; `fault` is raised instead of an answer."""

    orders: dict[str, Order] = field(default_factory=dict)
    bodies: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    groups: list[int] = field(default_factory=list)
    fault: Exception | None = None

    async def submit(self, command: Any) -> Any:
        """Decide one command."""
        return (await self.submit_all([command]))[0]

    async def submit_all(self, commands: Sequence[Any]) -> Sequence[Any]:
        """Decide many."""
        if not commands:
            return ()
        if self.fault:
            raise self.fault
        self.groups.append(len(commands))
        return [self._reply(command) for command in commands]

    async def read(self, query: str, *args: object) -> Sequence[Mapping[str, Any]]:
        """Answer the API's queries; of its events the runtime knows nothing."""
        if query == HISTORY:
            return []
        order = self.orders.get(str(args[0]))
        if order is None:
            return []
        if query == store.TIMELINE:
            history = [{"at": e.at.isoformat(), "what": e.what, "state": e.state} for e in order.news]
            return [{"order_id": order.id, "placed_at": NOW, "state": order.state, "history": json.dumps(history)}]
        customer, details, currency = self.bodies[order.id]
        return [
            {"order_id": order.id, "placed_at": NOW, "customer": customer, "details": details, "currency": currency}
            | {name: getattr(order, name) for name in ("amount", "attempt", "state", "reason", "undo")}
        ]

    def placed(self, order_id: str) -> OrderCreated:
        """Give an order as it was placed."""
        customer, details, currency = self.bodies[order_id]
        known = {"orderId": order_id, "customer": json.loads(customer), "currency": currency}
        return OrderCreated.model_validate_json(json.dumps(known | json.loads(details)))

    def force(self, order_id: str, state: domain.State) -> None:
        """Put an order into a state."""
        self.orders[order_id] = replace(self.orders[order_id], state=state)

    def _reply(self, command: Any) -> Any:
        match command:
            case Place(order):
                return self._place(command.key, order)
            case Cancel(order_id):
                return self._decide(order_id, domain.cancel)
            case Resume(order_id):
                return self._decide(order_id, domain.resume)

    def _place(self, key: str, created: OrderCreated) -> Any:
        body = store.body(created)
        if key in self.orders:
            return self._standing(key) if self.bodies[key] == body else Outcome.KEY_REUSED
        self.orders[key], self.bodies[key] = domain.place(created, NOW).order, body
        return replace(self._standing(key), outcome=Outcome.CREATED)

    def _decide(self, key: str, decide: Any) -> Any:
        if key not in self.orders:
            return NotPlaced()
        try:
            self.orders[key] = decide(self.orders[key], NOW).order
        except OrderRefusedError as refusal:
            return Refused(str(refusal))
        return self._standing(key)

    def _standing(self, key: str) -> Standing:
        return Standing(key, self.orders[key].state, self.orders[key].reason)
