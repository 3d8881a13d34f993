"""The rules of money, driven directly and against the provider's ledger."""

from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderflow_contracts.event import Event
from orderflow_payment.domain import (
    CAPTURE,
    NO_CURRENCY,
    Payment,
    ProviderCall,
    State,
    Step,
    cancel,
    captured,
    charge,
    refunded,
)
from orderflow_provider.ledger import Faults, Ledger, PaymentRequest, RefundRequest
from orderflow_shop.events import (
    CancelReason,
    Customer,
    Line,
    OrderCancelled,
    PaymentFailed,
    PaymentFailure,
    PaymentMethod,
    PaymentProcessed,
    PaymentRefunded,
    StockReserved,
)


def reserved(method: str = "tok_ok", amount: int = 500, order: str = "o1") -> StockReserved:
    """Make a reservation to charge."""
    return StockReserved(
        order_id=order,
        lines=(Line(sku="A", quantity=1, unit_price=amount),),
        amount=amount,
        currency="EUR",
        payment=PaymentMethod(token=method),
        partial=False,
    )


def cancelled(attempt: int = 1, order: str = "o1") -> OrderCancelled:
    """Make a cancellation."""
    ada = Customer(id="ada", email="ada@example.org", name="Ada")
    return OrderCancelled(order_id=order, reason=CancelReason.CUSTOMER, customer=ada, attempt=attempt)


@dataclass
class Till:
    """One order's payment with the calls that wait to be performed on a provider's ledger."""

    ledger: Ledger = field(default_factory=lambda: Ledger(Random(1)))
    row: Payment | None = None
    waiting: list[ProviderCall] = field(default_factory=list)
    published: list[Event] = field(default_factory=list)

    def charge(self, event: StockReserved) -> list[Event]:
        """Take a reservation."""
        return self._take(charge(self.row, event))

    def cancel(self, event: OrderCancelled) -> list[Event]:
        """Take a cancellation."""
        return self._take(cancel(self.row, event))

    def answer(self) -> list[Event]:
        """Perform the oldest waiting call and take its outcome."""
        if not self.waiting:
            return []
        call = self.waiting.pop(0)
        body = {"idempotency_key": call.idempotency_key, **call.request}
        if call.kind == CAPTURE:
            return self._take(captured(self.row, self.ledger.pay(PaymentRequest(**body)).body))
        return self._take(refunded(self.row, self.ledger.refund(RefundRequest(**body)).body))

    def _take(self, step: Step) -> list[Event]:
        self.row = step.row
        self.waiting += [step.call] if step.call else []
        self.published += step.events
        return list(step.events)

    @property
    def totals(self) -> dict[str, Any]:
        """Give the provider's totals."""
        return self.ledger.totals()


@pytest.fixture
def till() -> Till:
    """A till that has seen nothing."""
    return Till()


def state(till: Till) -> State:
    """Give the payment's state."""
    assert till.row is not None
    return till.row.state


def test_a_reservation_is_charged_and_the_token_forgotten(till: Till) -> None:
    """The captured amount is the reserved one, and nothing is kept to charge with."""
    assert till.charge(reserved()) == []
    (event,) = till.answer()
    assert isinstance(event, PaymentProcessed)
    assert event.amount == 500
    assert till.row is not None
    assert (till.row.state, till.row.token) == (State.CAPTURED, None)


def test_a_declined_payment_fails_and_a_first_cancellation_says_no_more(till: Till) -> None:
    """The failure is published once for a decline and its cancellation."""
    till.charge(reserved("tok_declined"))
    assert till.answer() == [PaymentFailed(order_id="o1", reason=PaymentFailure.DECLINED)]
    assert till.cancel(cancelled()) == []


def test_a_cancellation_before_any_payment_refuses_it_for_good(till: Till) -> None:
    """The tombstone answers with a refund of nothing, and a late reservation is not charged."""
    assert till.cancel(cancelled()) == [PaymentRefunded(order_id="o1", amount=0, currency=NO_CURRENCY)]
    assert till.charge(reserved()) == []
    assert not till.waiting


def test_a_capture_that_was_cancelled_meanwhile_is_refunded_unsaid(till: Till) -> None:
    """An unknown outcome is waited for; the capture then goes straight back without PAYMENT_PROCESSED."""
    till.charge(reserved())
    assert till.cancel(cancelled()) == []
    assert till.answer() == []
    assert till.answer() == [PaymentRefunded(order_id="o1", amount=500, currency="EUR")]
    assert till.totals["captured"] == till.totals["refunded"] == {"EUR": 500}


def test_a_decline_that_was_cancelled_meanwhile_fails_as_cancelled(till: Till) -> None:
    """Nothing was captured, so nothing is refunded."""
    till.charge(reserved("tok_declined"))
    till.cancel(cancelled())
    assert till.answer() == [PaymentFailed(order_id="o1", reason=PaymentFailure.CANCELLED)]


def test_a_captured_payment_is_refunded_whole(till: Till) -> None:
    """A cancellation gives back all that was captured."""
    till.charge(reserved())
    till.answer()
    till.cancel(cancelled())
    assert till.answer() == [PaymentRefunded(order_id="o1", amount=500, currency="EUR")]
    assert state(till) is State.REFUNDED


def test_a_refused_refund_is_tried_again_when_the_cancellation_is_resumed(till: Till) -> None:
    """The refusal is published; only a later attempt asks again, with a key of its own, and succeeds once."""
    till.charge(reserved("tok_refund_rejected"))
    till.answer()
    till.cancel(cancelled())
    assert till.answer() == [PaymentFailed(order_id="o1", reason=PaymentFailure.REFUND_REJECTED)]
    assert till.cancel(cancelled()) == []
    assert not till.waiting
    till.ledger.faults = Faults(refuse_refunds=False)
    till.cancel(cancelled(attempt=2))
    assert till.waiting[0].idempotency_key == "o1:refund:2"
    assert till.answer() == [PaymentRefunded(order_id="o1", amount=500, currency="EUR")]
    assert till.totals["refunded"] == {"EUR": 500}


@pytest.mark.parametrize("token", ["tok_ok", "tok_declined"])
def test_a_resumed_cancellation_gets_the_same_answer_again(till: Till, token: str) -> None:
    """An answer that was lost on its way is repeated, with no new call."""
    till.charge(reserved(token))
    first = till.answer()
    till.cancel(cancelled())
    first = till.answer() or first
    assert till.cancel(cancelled(attempt=2)) == first
    assert not till.waiting


def test_a_tombstone_answers_a_resumed_cancellation_again(till: Till) -> None:
    """Where nothing was ever charged, nothing refunded is said again."""
    assert till.cancel(cancelled()) == till.cancel(cancelled(attempt=2))


def test_an_outcome_of_an_unknown_or_settled_payment_changes_nothing() -> None:
    """Outcomes that nobody waits for are ignored."""
    settled = Payment("o1", State.REFUNDED, 500, "EUR", captured=500, refunded=500)
    for row in (None, settled):
        assert captured(row, {"outcome": "captured", "reference": "pay_1"}) == Step(row)
        assert refunded(row, {"outcome": "refunded"}) == Step(row)


MOVES = st.lists(st.sampled_from(["charge", "cancel", "resume", "answer", "allow"]), max_size=14)
TOKENS = st.sampled_from(["tok_ok", "tok_declined", "tok_double", "tok_refund_rejected"])


@given(TOKENS, MOVES)
def test_money_is_taken_once_and_given_back_once_in_every_order(token: str, moves: list[str]) -> None:
    """Never two captures, never more back than taken; at rest the row, the ledger and what was said agree."""
    till, attempt = Till(), 1
    for move in moves:
        if move == "charge":
            till.charge(reserved(token))
        elif move in ("cancel", "resume"):
            attempt += move == "resume"
            till.cancel(cancelled(attempt))
        elif move == "answer":
            till.answer()
        else:
            till.ledger.faults = Faults(refuse_refunds=False)
    while till.waiting:
        till.answer()
    taken = till.totals["captured"].get("EUR", 0)
    returned = till.totals["refunded"].get("EUR", 0)
    row = till.row or Payment("o1", State.CANCELLED)
    assert taken in (0, 500)
    assert returned in (0, taken)
    assert (row.captured, row.refunded) == (taken, returned)
    assert sum(isinstance(event, PaymentProcessed) for event in till.published) <= 1
    assert row.state not in (State.PENDING, State.REFUNDING)
    if row.cancelled and taken:
        assert (row.state is State.REFUNDED) == (returned == taken)
