"""How personal values are sealed in an event, and what who reads them sees."""

import uuid
from typing import Annotated, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, JsonValue
from pydantic_core import to_json

from orderflow_contracts.event import PERSONAL, SUBJECT, Event, Model, UndecodableError
from orderflow_contracts.flow_key import FlowKey, PersonKey, SealBrokenError
from orderflow_contracts.personal import personal_values, subject_of
from orderflow_contracts.places import is_marked
from orderflow_contracts.sealed import MASK, masked, people_in
from orderflow_contracts.sealing import encode_sealed, open_sealed
from orderflow_shop.events import OrderCompleted, OrderCreated, PaymentProcessed
from support.flow.people import order_of, texts_of

FLOW_KEY = FlowKey("shop", "a secret of the tests, of forty letters..")
PERSON = uuid.UUID(int=7)


class Pet(Model):
    """Somebody's."""

    name: Annotated[str, Field(json_schema_extra=PERSONAL)]


class Moved(Event):
    """Values of every type that JSON has."""

    TYPE: ClassVar[str] = "MOVED"

    who: Annotated[str, Field(json_schema_extra=SUBJECT)]
    age: Annotated[int, Field(json_schema_extra=PERSONAL)]
    married: Annotated[bool, Field(json_schema_extra=PERSONAL)]
    nick: Annotated[str | None, Field(json_schema_extra=PERSONAL)] = None
    pets: tuple[Pet, ...] = ()
    rooms: int

    @property
    def key(self) -> str:
        """The record key."""
        return "k"


class Contact(Model):
    """Marks as an author may write them."""

    phone: Annotated[str, Field(json_schema_extra=PERSONAL)] | None = None
    aliases: tuple[Annotated[str, Field(json_schema_extra=PERSONAL)], ...] = ()
    city: Annotated[str, Field(json_schema_extra=PERSONAL | {"examples": ["Bonn"]})]
    tree: JsonValue = "of a type that names itself"


class Listed(Event):
    """People by their part."""

    TYPE: ClassVar[str] = "LISTED"

    who: Annotated[str, Field(json_schema_extra=PERSONAL | SUBJECT)] | None = None
    contacts: dict[str, Contact]

    @property
    def key(self) -> str:
        """The record key."""
        return "k"


def key_of(person: uuid.UUID = PERSON) -> PersonKey:
    """Make a person's key."""
    return FLOW_KEY.unwrap(person, FLOW_KEY.new_key(person))


def created(number: int = 1) -> OrderCreated:
    """Make an event of the shop's."""
    wanted = order_of(number, "k")
    del wanted["idempotencyKey"]
    return OrderCreated.model_validate(wanted | {"orderId": "o1"})


@given(st.text(), st.integers(), st.booleans(), st.none() | st.text(), st.lists(st.text(), max_size=3))
def test_what_is_sealed_opens_by_its_key_alone(
    who: str, age: int, married: bool, nick: str | None, pets: list[str]
) -> None:
    """Any value of any type comes back as it was; without the key a mask of its type does, and the event is read."""
    made = [Pet(name=name) for name in pets]
    event, key = Moved(who=who, age=age, married=married, nick=nick, pets=tuple(made), rooms=3), key_of()
    data = encode_sealed(event, FLOW_KEY, key)
    assert people_in(data) == {PERSON}
    assert Moved.decode(open_sealed(data, "MOVED", FLOW_KEY, {PERSON: key}), 1) == event
    seen = Moved.decode(masked(data), 1)
    assert (seen.who, seen.age, seen.married, seen.rooms) == (str(PERSON), 0, False, 3)
    assert {pet.name for pet in seen.pets} <= {MASK}


def test_nothing_personal_of_an_order_stands_in_what_is_sealed() -> None:
    """Each text of a person, the id with them, is gone; what is no person's stays as it was."""
    data = encode_sealed(created(), FLOW_KEY, key_of())
    assert not [text for text in texts_of(1) if text.encode() in data.replace(b"\\n", b"\n")]
    assert b'"country":"DE"' in data
    assert OrderCreated.decode(masked(data), 2).ship_to.country == "DE"


def test_who_has_no_key_any_more_is_masked_when_written() -> None:
    """An event that comes after the erasure tells nothing."""
    seen = OrderCreated.decode(encode_sealed(created(), FLOW_KEY, None), 2)
    assert {seen.customer.id, seen.customer.email, seen.ship_to.city} == {MASK}


def test_a_value_that_was_moved_does_not_open() -> None:
    """Sealed for one place of one event of one flow, it opens in no other, nor when a bit is changed."""
    key, data = key_of(), encode_sealed(created(), FLOW_KEY, key_of())
    good = encode_sealed(created(), FLOW_KEY, key)
    opened = open_sealed(good, "ORDER_CREATED", FLOW_KEY, {PERSON: key})
    assert OrderCreated.decode(opened, 2) == created()
    elsewhere = FlowKey("other", "a secret of the tests, of forty letters..")
    moved = good.replace(b'"email"', b'"x"').replace(b'"name"', b'"email"')
    for event, flow, broken in (
        ("ORDER_COMPLETED", FLOW_KEY, good),
        ("ORDER_CREATED", elsewhere, good),
        ("ORDER_CREATED", FLOW_KEY, moved),
        ("ORDER_CREATED", FLOW_KEY, data),
    ):
        with pytest.raises(UndecodableError, match="does not open"):
            open_sealed(broken, event, flow, {PERSON: key})


def test_a_persons_key_opens_by_the_flows_secret_alone() -> None:
    """Who copies the table of keys, or puts one person's key in another's row, has nothing."""
    wrapped = FLOW_KEY.new_key(PERSON)
    for flow_key, person in (
        (FlowKey("shop", "another secret of at least 32 letters"), PERSON),
        (FLOW_KEY, uuid.uuid4()),
    ):
        with pytest.raises(SealBrokenError):
            flow_key.unwrap(person, wrapped)


def test_an_event_says_whose_it_is() -> None:
    """By the mark of its class; of what has no mark nothing is sealed."""
    assert subject_of(created(4)) == texts_of(4)[0]
    assert is_marked(OrderCompleted)
    assert not is_marked(PaymentProcessed)


@given(st.binary() | st.text().map(str.encode))
def test_what_is_no_event_of_ours_is_left_as_it_is(data: bytes) -> None:
    """Bytes without anything sealed are the same bytes, be they JSON or not."""
    assert masked(data) == data
    assert masked(b"~sealed:1:t:" + data) == b"~sealed:1:t:" + data


@given(st.from_regex(r"~sealed:1:[stnb]:[0-9a-f]{32}:[A-Za-z0-9_-]{1,40}", fullmatch=True))
def test_what_somebody_wrote_who_has_no_key_is_a_mask_or_a_broken_seal(text: str) -> None:
    """Any text may look as if it were sealed, also one that is no base64: it ends no program that reads it."""
    data = to_json({"note": text})
    person = next(iter(people_in(data)))
    assert text not in masked(data).decode()
    with pytest.raises(UndecodableError, match="does not open"):
        open_sealed(data, "MOVED", FLOW_KEY, {person: key_of(person)})


def test_a_mark_counts_wherever_it_stands() -> None:
    """Beside another, within an optional type or a list's, in a model that is a map's value: sealed, and redacted."""
    texts = ["ann-1", "+49 228 1", "Annie", "Bonn"]
    contact = Contact(phone=texts[1], aliases=(texts[2],), city=texts[3])
    event, key = Listed(who=texts[0], contacts={"buyer": contact}), key_of()
    data = encode_sealed(event, FLOW_KEY, key)
    assert not [text for text in texts if text.encode() in data]
    assert Listed.decode(open_sealed(data, "LISTED", FLOW_KEY, {PERSON: key}), 1) == event
    assert subject_of(event) == texts[0]
    assert set(personal_values(event)) == set(texts)
