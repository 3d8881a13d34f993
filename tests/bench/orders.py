"""The orders that the bench places: made, encoded and named before the clock runs, so that the client costs little."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from orderflow_cli.shop.sample_orders import FailureRates, sample_orders
from orderflow_order.http.requests import KeyedOrderRequest

DECLINED = 0.05
"""The share of orders whose payment is declined: they end CANCELLED, their stock restored."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An order to place: its id (known beforehand, from customer and key), key, and body as POST /orders takes it."""

    id: str
    key: str
    body: bytes
    keyed: bytes


class Orders:
    """Endless orders, the same for the same seed; those of two seeds never meet."""

    def __init__(self, seed: str) -> None:
        self._samples = sample_orders(seed, FailureRates(payment=DECLINED))

    def take(self, count: int) -> list[Placed]:
        """Give the next so many."""
        return [self._next() for _ in range(count)]

    def _next(self) -> Placed:
        sample = next(self._samples)
        keyed = msgspec.json.encode(sample)
        key = str(sample.pop("idempotencyKey"))
        created = KeyedOrderRequest.model_validate_json(keyed).created(key)
        return Placed(created.order_id, key, msgspec.json.encode(sample), keyed)


def batches(orders: Sequence[Placed], size: int) -> Iterator[tuple[Sequence[Placed], bytes]]:
    """Cut into batches, each with its body for POST /orders/batch (NDJSON)."""
    for start in range(0, len(orders), size):
        part = orders[start : start + size]
        yield part, b"\n".join(order.keyed for order in part)
