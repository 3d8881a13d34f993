"""What the simulated provider knows and decides, without HTTP. `app` serves it.

A simulator, kept small: a key acts once, however often it is received, and what is given back never exceeds
what was taken. Misbehaviour is asked for by test tokens, as real providers offer them, or drawn by rates
(`Faults`) from the random source it is given.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Annotated, Any

from pydantic import Field

from orderflow_contracts.event import ForeignId, Model
from orderflow_shop.events import Currency, Minor, Token

Rate = Annotated[float, Field(ge=0, le=1)]


class Behaviour(StrEnum):
    """The test tokens. A lost answer is lost the first time only: asking again for the key gives it."""

    DECLINED = "tok_declined"
    TIMEOUT = "tok_timeout"  # captured; the first answer comes after `Faults.timeout_seconds`
    LOST = "tok_lost"  # captured; the answer is lost
    UNKNOWN = "tok_unknown"  # the same
    LOST_DECLINED = "tok_lost_declined"  # declined; the answer is lost
    DOUBLE = "tok_double"  # captured; the request is received twice
    REFUND_LOST = "tok_refund_lost"  # the refund is made; its answer is lost
    REFUND_REJECTED = "tok_refund_rejected"  # the refund is refused for good, while `Faults.refuse_refunds`


_LOSING = frozenset({Behaviour.LOST, Behaviour.UNKNOWN, Behaviour.LOST_DECLINED})
_DECLINING = frozenset({Behaviour.DECLINED, Behaviour.LOST_DECLINED})


class PaymentRequest(Model):
    """Take this amount from whom the token stands for."""

    idempotency_key: ForeignId
    amount: Minor
    currency: Currency
    token: Token


class RefundRequest(Model):
    """Give back this amount of the payment with this reference."""

    idempotency_key: ForeignId
    reference: ForeignId
    amount: Minor


class Faults(Model):
    """How the provider misbehaves: shares of the requests with a new key, from 0 to 1, and delays."""

    decline_rate: Rate = 0
    lose_rate: Rate = 0
    error_rate: Rate = 0
    latency_ms: Annotated[float, Field(ge=0, le=60_000)] = 0
    timeout_seconds: Annotated[float, Field(ge=0, le=600)] = 30
    refuse_refunds: bool = True


class Payment(Model):
    """What became of a payment's key. `code` says why it was declined."""

    request: PaymentRequest
    reference: ForeignId
    code: str | None = None


class Refund(Model):
    """What became of a refund's key. `code` says why it was refused."""

    request: RefundRequest
    reference: ForeignId
    currency: Currency
    code: str | None = None


Entry = Payment | Refund


@dataclass(frozen=True, slots=True)
class Answer:
    """What to answer: after `delay` seconds; not at all when `lost`."""

    status: int
    body: dict[str, Any]
    delay: float = 0
    lost: bool = False


class Ledger:
    """The provider's book. `record` keeps each new entry, before it is answered."""

    def __init__(self, random: Random, record: Callable[[Entry], None] = lambda entry: None) -> None:
        self._random = random
        self._record = record
        self._payments: dict[str, Payment] = {}
        self._refunds: dict[str, Refund] = {}
        self._captured: dict[str, Payment] = {}
        self._given_back: Counter[str] = Counter()
        self.received: Counter[str] = Counter()
        self.faults = Faults()

    def restore(self, entry: Entry) -> None:
        """Take back an entry that was recorded earlier."""
        key = entry.request.idempotency_key
        if isinstance(entry, Payment):
            self._payments[key] = entry
            if entry.code is None:
                self._captured[entry.reference] = entry
        else:
            self._refunds[key] = entry
            if entry.code is None:
                self._given_back[entry.request.reference] += entry.request.amount

    def pay(self, request: PaymentRequest) -> Answer:
        """Capture, decline, or repeat what was answered for the key."""
        if request.token == Behaviour.DOUBLE and request.idempotency_key not in self._payments:
            self._pay(request)
        return self._pay(request)

    def refund(self, request: RefundRequest) -> Answer:
        """Give back, refuse, or repeat what was answered for the key."""
        key = request.idempotency_key
        self.received[key] += 1
        if known := self._refunds.get(key):
            return _refund_answer(known) if known.request == request else _reused(key)
        payment = self._captured.get(request.reference)
        if payment is None:
            return _problem(422, "unknown_payment", f"no captured payment has the reference {request.reference}")
        if self._happens(self.faults.error_rate):
            return _broken()
        refund = Refund(
            request=request,
            reference=f"re_{len(self._refunds) + 1}",
            currency=payment.request.currency,
            code=self._refusal(payment, request),
        )
        self._keep(refund)
        lost = payment.request.token == Behaviour.REFUND_LOST or self._happens(self.faults.lose_rate)
        return _refund_answer(refund, self.faults.latency_ms / 1000, lost)

    def find_payment(self, key: str) -> dict[str, Any] | None:
        """Return what became of a payment's key."""
        payment = self._payments.get(key)
        return _payment_answer(payment).body if payment else None

    def find_refund(self, key: str) -> dict[str, Any] | None:
        """Return what became of a refund's key."""
        refund = self._refunds.get(key)
        return _refund_answer(refund).body if refund else None

    def totals(self) -> dict[str, Any]:
        """Return the money taken and given back, by currency, and the keys received again since the start."""
        captured: Counter[str] = Counter()
        refunded: Counter[str] = Counter()
        for payment in self._captured.values():
            captured[payment.request.currency] += payment.request.amount
        for refund in self._refunds.values():
            refunded[refund.currency] += 0 if refund.code else refund.request.amount
        return {
            "captured": dict(captured),
            "refunded": dict(refunded),
            "payments": len(self._captured),
            "declined": len(self._payments) - len(self._captured),
            "refunds": sum(refund.code is None for refund in self._refunds.values()),
            "receivedAgain": {key: count for key, count in self.received.items() if count > 1},
        }

    def _pay(self, request: PaymentRequest) -> Answer:
        key = request.idempotency_key
        self.received[key] += 1
        if known := self._payments.get(key):
            return _payment_answer(known) if known.request == request else _reused(key)
        if self._happens(self.faults.error_rate):
            return _broken()
        declined = request.token in _DECLINING or self._happens(self.faults.decline_rate)
        payment = Payment(
            request=request,
            reference=f"pay_{len(self._payments) + 1}",
            code="card_declined" if declined else None,
        )
        self._keep(payment)
        timeout = self.faults.timeout_seconds if request.token == Behaviour.TIMEOUT else 0
        lost = request.token in _LOSING or self._happens(self.faults.lose_rate)
        return _payment_answer(payment, timeout + self.faults.latency_ms / 1000, lost)

    def _keep(self, entry: Entry) -> None:
        self._record(entry)
        self.restore(entry)

    def _refusal(self, payment: Payment, request: RefundRequest) -> str | None:
        if self._given_back[request.reference] + request.amount > payment.request.amount:
            return "exceeds_captured"
        refused = payment.request.token == Behaviour.REFUND_REJECTED and self.faults.refuse_refunds
        return "refund_refused" if refused else None

    def _happens(self, rate: float) -> bool:
        return rate > 0 and self._random.random() < rate


def _payment_answer(payment: Payment, delay: float = 0, lost: bool = False) -> Answer:
    if payment.code:
        return Answer(402, {"outcome": "declined", "code": payment.code}, delay, lost)
    body = {
        "outcome": "captured",
        "reference": payment.reference,
        "amount": payment.request.amount,
        "currency": payment.request.currency,
    }
    return Answer(201, body, delay, lost)


def _refund_answer(refund: Refund, delay: float = 0, lost: bool = False) -> Answer:
    if refund.code:
        return Answer(409, {"outcome": "rejected", "code": refund.code}, delay, lost)
    body = {"outcome": "refunded", "reference": refund.reference, "amount": refund.request.amount}
    return Answer(201, body, delay, lost)


def _reused(key: str) -> Answer:
    return _problem(400, "key_reused", f"the idempotency key {key} was used for another request: take a new key")


def _broken() -> Answer:
    return _problem(503, "unavailable", "nothing was done: try again with the same key")


def _problem(status: int, code: str, detail: str) -> Answer:
    return Answer(status, {"status": status, "title": code.replace("_", " "), "code": code, "detail": detail})
