"""Sample orders: the API takes each, the same seed gives the same, and failures come at the rates asked for."""

from collections import Counter
from itertools import islice

import pytest

from orderflow_cli.shop.sample_orders import FailureRates, parse_rates, sample_orders
from orderflow_order.http.requests import KeyedOrderRequest


def test_the_api_accepts_every_sample_order() -> None:
    """The order service's own model reads each order, and all keys differ."""
    rates = FailureRates(payment=0.3, shipping=0.3, unknown=0.3)
    orders = [KeyedOrderRequest.model_validate(order, strict=False) for order in islice(sample_orders("a", rates), 200)]
    assert len({order.idempotency_key for order in orders}) == 200


def test_the_same_seed_gives_the_same_orders() -> None:
    """A run can be repeated exactly, and another run's orders are others."""
    first, again, other = (list(islice(sample_orders(seed, FailureRates()), 5)) for seed in ("a", "a", "b"))
    assert first == again
    assert first != other


def test_failures_come_at_their_rates() -> None:
    """Of 4,000 orders the shares of declined, unknown and unserved ones are those asked for, within 2 points."""
    rates = FailureRates(payment=0.05, shipping=0.1, unknown=0.2)
    orders = list(islice(sample_orders("a", rates), 4000))
    tokens = Counter(order["payment"]["token"] for order in orders)
    refused = sum(order["shipTo"]["country"] == "XX" for order in orders)
    found = [count / 4000 for count in (tokens["tok_declined"], tokens["tok_unknown"], refused)]
    assert found == pytest.approx([0.05, 0.2, 0.1], abs=0.02)


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("", FailureRates()),
        ("payment=5%,shipping=1%,unknown=0.5%", FailureRates(0.05, 0.01, 0.005)),
        ("shipping=0.25", FailureRates(shipping=0.25)),
    ],
)
def test_rates_are_read(text: str, rates: FailureRates) -> None:
    """Percentages and fractions, in any selection."""
    assert parse_rates(text) == rates


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("paiment=5%", "give payment=N%"),
        ("payment=lots", "is not a share"),
        ("payment=101%", "does not lie between"),
        ("payment=nan", "does not lie between"),
        ("payment=60%,unknown=60%", "together exceed 100%"),
    ],
)
def test_wrong_rates_are_refused(text: str, says: str) -> None:
    """What is wrong is said, with the form that is meant."""
    with pytest.raises(ValueError, match=says):
        parse_rates(text)
