"""The provider's book, without HTTP."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderflow_provider.journal import Journal, read_journal
from orderflow_provider.ledger import Entry, Faults, Ledger, PaymentRequest, RefundRequest


def payment(key: str = "o1:capture", method: str = "tok_ok", amount: int = 500) -> PaymentRequest:
    """Make a payment request."""
    return PaymentRequest(idempotency_key=key, amount=amount, currency="EUR", token=method)


def refund(reference: str, amount: int = 500, key: str = "o1:refund:1") -> RefundRequest:
    """Make a refund request."""
    return RefundRequest(idempotency_key=key, reference=reference, amount=amount)


@pytest.fixture
def ledger() -> Ledger:
    """An empty book."""
    return Ledger(Random(7))


def test_a_key_acts_once_and_is_answered_the_same(ledger: Ledger) -> None:
    """A repeated request repeats the answer, and the book shows that it came again."""
    assert ledger.pay(payment()) == ledger.pay(payment())
    assert ledger.totals()["captured"] == {"EUR": 500}
    assert ledger.totals()["receivedAgain"] == {"o1:capture": 2}


def test_a_key_used_for_something_else_is_refused(ledger: Ledger) -> None:
    """Another amount under a used key is the caller's mistake."""
    ledger.pay(payment())
    assert ledger.pay(payment(amount=1)).status == 400
    assert ledger.totals()["captured"] == {"EUR": 500}


def test_a_double_receipt_captures_once(ledger: Ledger) -> None:
    """What the network delivers twice is taken once."""
    assert ledger.pay(payment(method="tok_double")).status == 201
    assert ledger.totals()["captured"] == {"EUR": 500}
    assert ledger.totals()["receivedAgain"] == {"o1:capture": 2}


@pytest.mark.parametrize(("token", "status"), [("tok_lost", 201), ("tok_unknown", 201), ("tok_lost_declined", 402)])
def test_a_lost_answer_is_known_by_its_key(ledger: Ledger, token: str, status: int) -> None:
    """Only the first answer is lost; asking again and looking up both give it."""
    assert ledger.pay(payment(method=token)).lost
    again = ledger.pay(payment(method=token))
    assert (again.status, again.lost) == (status, False)
    assert ledger.find_payment("o1:capture") == again.body


def test_a_slow_answer_comes_late_once(ledger: Ledger) -> None:
    """The payment is made at once, its first answer waits."""
    assert ledger.pay(payment(method="tok_timeout")).delay == 30
    assert ledger.pay(payment(method="tok_timeout")).delay == 0


def test_no_more_is_given_back_than_was_taken(ledger: Ledger) -> None:
    """A second refund of the whole amount is refused."""
    reference = ledger.pay(payment()).body["reference"]
    assert ledger.refund(refund(reference)).status == 201
    assert ledger.refund(refund(reference, 1, "o1:refund:2")).status == 409
    assert ledger.totals()["refunded"] == {"EUR": 500}


def test_a_refund_of_an_unknown_payment_is_refused(ledger: Ledger) -> None:
    """There is nothing to give back."""
    assert ledger.refund(refund("pay_99")).status == 422
    assert ledger.find_refund("o1:refund:1") is None


def test_a_refused_refund_stays_refused_by_its_key_until_a_new_one_is_allowed(ledger: Ledger) -> None:
    """A new attempt needs a new key, and the provider's leave."""
    reference = ledger.pay(payment(method="tok_refund_rejected")).body["reference"]
    assert ledger.refund(refund(reference)).status == 409
    ledger.faults = Faults(refuse_refunds=False)
    assert ledger.refund(refund(reference)).status == 409
    assert ledger.refund(refund(reference, key="o1:refund:2")).status == 201


def test_a_lost_refund_was_made(ledger: Ledger) -> None:
    """The money is given back, the answer is not."""
    reference = ledger.pay(payment(method="tok_refund_lost")).body["reference"]
    assert ledger.refund(refund(reference)).lost
    assert ledger.totals()["refunded"] == {"EUR": 500}


def test_an_error_does_nothing(ledger: Ledger) -> None:
    """A key that met a server's error is unknown afterwards."""
    ledger.faults = Faults(error_rate=1)
    assert ledger.pay(payment()).status == 503
    assert ledger.find_payment("o1:capture") is None


def test_rates_are_drawn_from_the_given_random() -> None:
    """The same seed declines and loses the same requests, about as many as asked."""

    def run() -> list[tuple[int, bool]]:
        ledger = Ledger(Random(3))
        ledger.faults = Faults(decline_rate=0.3, lose_rate=0.1)
        answers = [ledger.pay(payment(f"k{n}")) for n in range(1000)]
        return [(answer.status, answer.lost) for answer in answers]

    first = run()
    assert first == run()
    assert 250 < sum(status == 402 for status, _ in first) < 350
    assert 70 < sum(lost for _, lost in first) < 130


REQUESTS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.booleans()), max_size=30)


@given(REQUESTS)
def test_the_book_balances_and_a_restart_remembers_it(requests: list[tuple[str, int, bool]]) -> None:
    """Refunds never exceed captures, and a book restored from its entries is the same."""
    entries: list[Entry] = []
    ledger = Ledger(Random(1), entries.append)
    for key, amount, back in requests:
        taken = ledger.pay(payment(key, amount=3))
        if back:
            ledger.refund(refund(taken.body["reference"], amount, f"{key}:{amount}"))
    totals = ledger.totals()
    assert totals["refunded"].get("EUR", 0) <= totals["captured"].get("EUR", 0)
    restored = Ledger(Random(1))
    for entry in entries:
        restored.restore(entry)
    assert restored.totals() | {"receivedAgain": {}} == totals | {"receivedAgain": {}}


def test_a_journal_torn_by_a_crash_keeps_every_whole_entry(tmp_path: Path) -> None:
    """The torn last line is left out, and what is written after it can be read."""
    path = tmp_path / "journal"
    ledger = Ledger(Random(1), Journal(path).write)
    ledger.pay(payment("a"))
    ledger.pay(payment("b"))
    path.write_bytes(path.read_bytes()[:-10])
    ledger = Ledger(Random(1), Journal(path).write)
    for entry in read_journal(path):
        ledger.restore(entry)
    ledger.pay(payment("c"))
    assert [entry.request.idempotency_key for entry in read_journal(path)] == ["a", "c"]
