"""The payment service with the provider in its own process, for the bench: what HTTP to a provider costs is not ours.

Run by `bench.py` in place of `python -m orderflow_payment`; its ledger is the very one that the provider serves.
"""

import random
from collections.abc import Callable, Mapping
from typing import Any

from orderflow_payment.handlers import payment_service
from orderflow_provider.ledger import Answer, Ledger, PaymentRequest, RefundRequest
from orderflow_runtime import Model, Service, Settings, main


class LedgerPort:
    """A `Port` straight to the ledger; `act` and `find` are its two functions of one kind."""

    def __init__(
        self,
        read: type[Model],
        act: Callable[[Any], Answer],
        find: Callable[[str], dict[str, Any] | None],
    ) -> None:
        self._read, self._act, self._find = read, act, find

    async def perform(self, request: Mapping[str, Any], idempotency_key: str) -> dict[str, Any]:
        """Have it booked."""
        return self._act(self._read.model_validate({"idempotencyKey": idempotency_key, **request})).body

    async def lookup(self, idempotency_key: str) -> dict[str, Any] | None:
        """Ask the book."""
        return self._find(idempotency_key)


def in_process() -> Service:
    """Give the payment service over a ledger of its own."""
    ledger = Ledger(random.Random(1))
    return payment_service(
        LedgerPort(PaymentRequest, ledger.pay, ledger.find_payment),
        LedgerPort(RefundRequest, ledger.refund, ledger.find_refund),
    )


def build(_: Settings) -> Service:
    """Give what `main` runs."""
    return in_process()


if __name__ == "__main__":
    main(build)
