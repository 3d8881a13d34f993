"""Events of the reference flow: what is written is read again, and nothing else is."""

import json
import string
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderflow_contracts.event import UndecodableError
from orderflow_shop.events import (
    MAX_AMOUNT,
    Address,
    Customer,
    Line,
    OrderCreated,
    OrderEvent,
    PaymentMethod,
    PaymentRefunded,
    total,
)

KINDS = OrderEvent.__subclasses__()
REFUND = {"orderId": "o1", "amount": 1, "currency": "EUR"}
ORDER = {
    "orderId": "o1",
    "customer": {"id": "c1", "email": "ann@example.org", "name": "Ann"},
    "lines": [{"sku": "apple", "quantity": 2, "unitPrice": 300}],
    "currency": "EUR",
    "payment": {"token": "tok"},
    "shipTo": {"name": "Ann", "street": "Main St 1", "city": "Ghent", "postcode": "9000", "country": "BE"},
    "allowPartial": False,
}


IDS = st.text(string.ascii_letters + string.digits + "_.:-", min_size=1, max_size=64)
AMOUNTS = st.integers(0, 10**6)
CHARACTERS = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])
TEXT = st.text(CHARACTERS, min_size=1, max_size=20)
FOREIGN = st.text(CHARACTERS, min_size=1, max_size=255)
STREET = st.lists(TEXT, min_size=1, max_size=3).map("\n".join)


def made(kind: Callable[..., Any], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw models of these fields; `st.builds` would also draw the fields' aliases."""
    return st.fixed_dictionaries(fields).map(lambda drawn: kind(**drawn))


LINES = st.lists(made(Line, sku=FOREIGN, quantity=st.integers(1, 100), unit_price=AMOUNTS), min_size=1, max_size=3)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "order_id": IDS,
    "customer": made(Customer, id=FOREIGN, email=st.just("ann@example.org"), name=TEXT),
    "lines": LINES.map(tuple),
    "missing": LINES.map(tuple),
    "amount": AMOUNTS,
    "currency": st.sampled_from(["EUR", "USD"]),
    "payment": made(PaymentMethod, token=FOREIGN),
    "ship_to": made(
        Address,
        name=TEXT,
        street=STREET,
        city=TEXT,
        region=st.none() | TEXT,
        postcode=st.none() | TEXT,
        country=st.just("BE"),
    ),
    "allow_partial": st.booleans(),
    "partial": st.booleans(),
    "reference": FOREIGN,
    "tracking": FOREIGN,
    "attempt": st.integers(1, 1000),
}


def samples(kind: type[OrderEvent]) -> st.SearchStrategy[OrderEvent]:
    """Draw events of one kind; a `reason` is one of its own few words."""
    return made(kind, **{name: _field(name, field.annotation) for name, field in kind.model_fields.items()})


def _field(name: str, annotation: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(annotation) if name == "reason" else FIELDS[name]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.TYPE)
@given(data=st.data())
def test_every_event_is_read_as_it_was_written(kind: type[OrderEvent], data: st.DataObject) -> None:
    """Any event that can be made comes back equal from its bytes, under the key of its order."""
    event = data.draw(samples(kind))
    again = kind.decode(event.encode(), kind.VERSION)
    assert again == event
    assert event.key == again.key == event.model_dump()["order_id"]


def test_unknown_fields_are_tolerated() -> None:
    """A producer may add fields anywhere, and send a version that is not known yet."""
    data = REFUND | {"new": {"deep": [1, 2.5, None]}}
    assert PaymentRefunded.decode(json.dumps(data).encode(), 7).amount == 1


def test_old_version_is_lifted() -> None:
    """ORDER_CREATED of version 1 had no currency and no choice of partial delivery."""
    old = {name: value for name, value in ORDER.items() if name not in ("currency", "allowPartial")}
    event = OrderCreated.decode(json.dumps(old).encode(), 1)
    assert (event.currency, event.allow_partial) == ("EUR", False)


@pytest.mark.parametrize("version", [0, -1])
def test_version_without_a_way_up_is_refused(version: int) -> None:
    """A version older than any upcaster is refused by number."""
    with pytest.raises(UndecodableError, match=f"version {version} is too old"):
        OrderCreated.decode(json.dumps(ORDER).encode(), version)


@pytest.mark.parametrize(
    "amount",
    [
        "-1",
        "1.5",
        "100.5",
        "1e-1",
        "1e300",
        "1e999999999",
        f"1e{'9' * 20}",
        "-1.0",
        "true",
        '"1"',
        "null",
        "[]",
        "1" * 5000,
        "9" * 19,
    ],
)
def test_amount_that_is_not_a_small_whole_number_is_refused(amount: str) -> None:
    """Money is a whole number of minor units within bounds: no float, no text, no truth value, no giant."""
    with pytest.raises(UndecodableError, match="PAYMENT_REFUNDED"):
        PaymentRefunded.decode(b'{"orderId":"o1","currency":"EUR","amount":%s}' % amount.encode(), 1)


@given(st.integers(1, MAX_AMOUNT), st.data())
def test_a_whole_number_may_be_written_as_any_other_number(amount: int, data: st.DataObject) -> None:
    """JSON has one kind of number: 100, 100.0 and 1E+2 are the same amount, to the last digit."""
    shift = data.draw(st.integers(0, 20))
    digits = str(amount).zfill(shift + 1)
    point = len(digits) - shift
    forms = [
        f"{amount}.{'0' * data.draw(st.integers(1, 400))}",
        f"{amount}e{data.draw(st.sampled_from(['', '+', '-']))}0",
        f"{amount}{'0' * shift}E-{shift}",
        f"{digits[:point].lstrip('0') or '0'}.{digits[point:] or '0'}e+{shift}",
    ]
    for written in forms:
        body = b'{"orderId":"o1","currency":"EUR","amount":%s,"new":[1.5,"\\ud7ff"]}' % written.encode()
        assert PaymentRefunded.decode(body, 1).amount == amount


def test_whole_numbers_are_read_at_any_depth_and_in_old_versions() -> None:
    """Lines of an order have theirs, also where an old event is lifted on its way."""
    line = {"sku": "apple", "quantity": 2.0, "unitPrice": 3e2}
    for version in (1, 2):
        event = OrderCreated.decode(json.dumps(ORDER | {"lines": [line]}).encode(), version)
        assert (event.lines[0].quantity, event.lines[0].unit_price) == (2, 300)


def test_a_fraction_beside_a_whole_number_is_refused_at_its_place() -> None:
    """One number that is none spoils the event, however many others are whole."""
    line = {"sku": "apple", "quantity": 2.0, "unitPrice": 300.5}
    with pytest.raises(UndecodableError, match="lines/0/unitPrice"):
        OrderCreated.decode(json.dumps(ORDER | {"lines": [line]}).encode(), 2)


def test_depth_beside_a_whole_number_is_refused() -> None:
    """What nobody reads must not fell the reader either."""
    body = b'{"orderId":"o1","currency":"EUR","amount":1.0,"x":' + b"[" * 190 + b"]" * 190 + b"}"
    assert PaymentRefunded.decode(body, 1).amount == 1
    with pytest.raises(UndecodableError):
        PaymentRefunded.decode(body.replace(b"[" * 190, b"[" * 10_000).replace(b"]" * 190, b"]" * 10_000), 1)


HOSTILE = {
    "empty": b"",
    "broken": b'{"orderId":',
    "not an object": b"[]",
    "null": b"null",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "invalid UTF-8": b'{"x":"\xff"}',
    "a lone surrogate": b'{"x":"\\ud800"}',
    "NaN": b'{"x":NaN}',
    "infinity": b'{"x":-Infinity}',
    "depth 10,000": b'{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "a giant number": b'{"x":' + b"1" * 5_000 + b"}",
}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", HOSTILE)
def test_bytes_that_are_not_an_event_are_refused_with_a_short_reason(name: str, version: int) -> None:
    """Hostile bytes, even in a field nobody reads, are refused with a reason that fits a header."""
    body = HOSTILE[name].replace(b"{", json.dumps(ORDER).encode()[:-1] + b",", 1)
    with pytest.raises(UndecodableError) as refused:
        OrderCreated.decode(body, version)
    assert str(refused.value).startswith("ORDER_CREATED")
    assert len(str(refused.value)) <= 500
    assert str(refused.value).isprintable()


@given(st.binary(max_size=200), st.integers(1, 3))
def test_any_bytes_are_read_or_refused(value: bytes, version: int) -> None:
    """No bytes raise anything but `UndecodableError`."""
    with pytest.raises(UndecodableError):
        OrderCreated.decode(value, version)


@pytest.mark.parametrize("bad", ["\x00", "a\x00b", "two\nlines", "\x7f", "", "x" * 201])
@pytest.mark.parametrize("place", [("customer", "name"), ("customer", "email"), ("shipTo", "city")])
def test_text_that_postgres_or_a_mail_header_cannot_hold_is_refused(place: tuple[str, str], bad: str) -> None:
    """NUL and other control characters in personal text are refused by their place."""
    data = json.loads(json.dumps(ORDER))
    data[place[0]][place[1]] = bad
    with pytest.raises(UndecodableError, match="/".join(place)):
        OrderCreated.decode(json.dumps(data).encode(), 2)


@pytest.mark.parametrize("bad", ["a\x00", "a\n", "a b", "ä", "", "x" * 65])
def test_order_id_is_safe_in_keys_and_logs(bad: str) -> None:
    """An id holds only what a record key, a URL and a log line can."""
    with pytest.raises(UndecodableError, match="orderId"):
        PaymentRefunded.decode(json.dumps(REFUND | {"orderId": bad}).encode(), 1)


def test_names_on_the_wire_are_camel_case_only() -> None:
    """A snake_case name is an unknown field, so the real one is missing."""
    with pytest.raises(UndecodableError, match="orderId"):
        PaymentRefunded.decode(b'{"order_id":"o1","amount":1,"currency":"EUR"}', 1)


def test_lines_cannot_cost_more_than_can_be_charged() -> None:
    """Lines whose total is over the bound of an amount are refused before somebody has to charge it."""
    line = {"sku": "apple", "quantity": 2, "unitPrice": MAX_AMOUNT // 2}
    most = OrderCreated.decode(json.dumps(ORDER | {"lines": [line]}).encode(), 2)
    assert total(most.lines) == MAX_AMOUNT
    with pytest.raises(UndecodableError, match="cost more than"):
        OrderCreated.decode(json.dumps(ORDER | {"lines": [line, line | {"unitPrice": 1}]}).encode(), 2)


def test_what_an_address_lacks_is_not_written() -> None:
    """Who reads an event finds a postcode or no field at all, never a null that older readers would refuse."""
    address = Address(name="Ann", street="Quay 7", city="Dublin", country="IE")
    assert json.loads(address.model_dump_json(by_alias=True)) == {
        "name": "Ann",
        "street": "Quay 7",
        "city": "Dublin",
        "country": "IE",
    }


@pytest.mark.parametrize("character", "\0\t\n\x1b\x7f\x85\x9f\u2028\u2029")
@pytest.mark.parametrize(
    "place",
    [("customer", "id"), ("customer", "name"), ("lines", 0, "sku"), ("payment", "token"), ("shipTo", "city")],
    ids=str,
)
def test_control_characters_are_refused(character: str, place: tuple[Any, ...]) -> None:
    """What steers terminals, ends lines or is no text for Postgres comes into no event."""
    order = json.loads(json.dumps(ORDER))
    *above, last = place
    node = order
    for step in above:
        node = node[step]
    node[last] = f"a{character}b"
    with pytest.raises(UndecodableError, match="/".join(map(str, place))):
        OrderCreated.decode(json.dumps(order).encode(), 2)
