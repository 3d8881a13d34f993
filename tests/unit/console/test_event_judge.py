"""Expressions of CEL over events: what they say, what is wrong with them, and that none takes the console with it."""

import time
from typing import Any

import pytest

from orderflow_console.queries.errors import InvalidQuestionError
from orderflow_console.queries.event_judge import EventJudge

EVENT: dict[str, Any] = {
    "data": {"amount": 7, "lines": [{"sku": "A"}, {"sku": "B"}], "customer": {"email": "•••"}, "big": list(range(300))},
    "key": "o1",
    "type": "ORDER_CREATED",
    "id": "e1",
    "source": "/shop/order",
    "time": "2026-11-28T22:30:00+00:00",
    "partition": 3,
    "offset": 12,
    "headers": {"ce_type": "ORDER_CREATED"},
}


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("data.amount > 5 && type == 'ORDER_CREATED'", True),
        ("data.lines.exists(line, line.sku == 'B') && key.startsWith('o')", True),
        ("time > timestamp('2026-11-28T00:00:00Z') && partition == 3 && offset < 13", True),
        ("headers['ce_type'] == type && source.matches('^/shop')", True),
        ("data.customer.email == 'ada@example.com'", False),
        ("data.coupon == 'X'", "there is no coupon"),
        ("data.amount", "the expression is neither true nor false"),
        ("data.amount > 'a'", "No such overload: the operation is not defined for the given operand types"),
        ("amount > 5", "Undefined variable or function: 'amount'"),
        ("1 / 0 == 1", "division by zero in CEL expression"),
    ],
)
def test_an_event_fits_or_why_not_is_told(expression: str, found: bool | str) -> None:
    """An expression speaks of data and metadata; an event that it cannot be said of ends nothing."""
    with EventJudge(expression) as judge:
        assert [judge.judge(EVENT), judge.judge(EVENT)] == [found, found]


@pytest.mark.parametrize(
    ("expression", "place"),
    [("data.amount >", "1:14"), ("a b", "1:3"), ("'x", "1:1"), ("", "1:1")],
)
def test_what_is_wrong_with_an_expression_has_its_place(expression: str, place: str) -> None:
    """It is told before any event is looked at."""
    with pytest.raises(InvalidQuestionError, match=place):
        EventJudge(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "data.big.all(a, data.big.all(b, data.big.all(c, data.big.all(d, a + b + c + d >= 0))))",
        "['" + "x" * 100 + "']" + ".map(a, a + a)" * 40 + " != []",
    ],
)
def test_an_expression_that_never_ends_or_fills_the_memory_is_ended(expression: str) -> None:
    """What asks for too much is told so soon, and leaves no process behind."""
    begun = time.monotonic()
    with EventJudge(expression) as judge:
        with pytest.raises(InvalidQuestionError, match="too much time or memory"):
            judge.judge(EVENT)
        process = judge._process
    assert process.returncode is not None
    assert time.monotonic() - begun < 30
