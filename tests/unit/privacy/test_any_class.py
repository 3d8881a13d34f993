"""What a class marks as personal is sealed and redacted, however its fields are made; what cannot be is refused."""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from hypothesis import given
from pydantic import Field, SerializeAsAny, computed_field

from orderflow_contracts.event import PERSONAL, Event, Model
from orderflow_contracts.flow_key import FlowKey
from orderflow_contracts.personal import personal_values, subject_of
from orderflow_contracts.places import is_marked, unreachable_marks
from orderflow_contracts.sealed import masked
from orderflow_contracts.sealing import encode_sealed, open_sealed
from orderflow_runtime.redaction import redacted_reason
from orderflow_runtime.service import Received
from support.flow.personal_classes import SUBJECT_ID, events

FLOW_KEY = FlowKey("shop", "a secret of the tests, of forty letters..")
PERSON = uuid.UUID(int=7)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY = FLOW_KEY.unwrap(PERSON, FLOW_KEY.new_key(PERSON))
Personal = Annotated[str, Field(json_schema_extra=PERSONAL)]


@given(events())
def test_what_a_class_marks_is_never_in_the_clear(drawn: tuple[Event, list[str]]) -> None:
    """In models, roots, dataclasses, typed dictionaries, named tuples, unions and lists: sealed, read, masked."""
    event, texts = drawn
    kind, data = type(event), encode_sealed(event, FLOW_KEY, KEY)
    assert is_marked(kind)
    assert unreachable_marks(kind) == ()
    assert not [text for text in texts if text.encode() in data]
    assert b"in the clear" in data
    assert kind.decode(open_sealed(data, "MADE", FLOW_KEY, {PERSON: KEY}), 1) == event
    assert not [text for text in texts if text in str(kind.decode(masked(data), 1))]
    assert not [text for text in texts if text.encode() in encode_sealed(event, FLOW_KEY, None)]
    assert subject_of(event) == SUBJECT_ID
    assert set(personal_values(event)) == set(texts)


@given(events())
def test_a_reason_of_a_failure_quotes_nobody(drawn: tuple[Event, list[str]]) -> None:
    """Logs, dead letters and the console tell what a handler said of its event, or a reply: no personal text of it."""
    event, texts = drawn
    error = ValueError(f"cannot ship to {', '.join(texts)}; {event!r}")
    for received in (Received(event, "e1", NOON), Received(Pets(), "e1", NOON, (event,))):
        said = redacted_reason(error, received)
        assert not [text for text in texts if text in said]
        assert "in the clear" in said


class Pet(Model):
    """Somebody's."""

    name: Personal


class Pets(Event):
    """Nobody in particular."""

    TYPE: ClassVar[str] = "PETS"


class Keyed(Event):
    """Names where no value is."""

    TYPE: ClassVar[str] = "KEYED"

    ages: dict[Personal, int]
    rooms: int = 1


class Open(Event):
    """Models where the schema knows of none, and a value that is computed."""

    TYPE: ClassVar[str] = "OPEN"

    anything: Any
    pet: SerializeAsAny[Model]
    rooms: int = 1

    @computed_field(json_schema_extra=PERSONAL)  # type: ignore[prop-decorator]  # as pydantic's own docs write it
    @property
    def called(self) -> str:
        """Computed from what is personal."""
        return "Annabel"


def test_names_that_are_keys_cannot_be_sealed_and_are_told_with_their_place() -> None:
    """A key of a dictionary is no value: where it is marked, the class is refused, not written in the clear."""
    assert unreachable_marks(Keyed) == ("/properties/ages/propertyNames",)


def test_a_model_where_the_schema_says_nothing_has_its_own_marks() -> None:
    """In a field of any type, in one that takes its subclasses, and for what a class computes."""
    event = Open(anything=[Pet(name="Rex-in-any")], pet=Pet(name="Rex-as-any"))
    data = encode_sealed(event, FLOW_KEY, KEY)
    assert not [text for text in (b"Rex-in-any", b"Rex-as-any", b"Annabel") if text in data]
    assert set(personal_values(event)) == {"Rex-in-any", "Rex-as-any", "Annabel"}
