"""What is personal in an event's data is hidden where it stands, and its shape is kept."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Message

from orderflow_console.queries.errors import InvalidQuestionError, ReadError
from orderflow_console.queries.events import EventFilter, browse_events
from orderflow_console.queries.masking import MASK, mask, mask_headers
from orderflow_console.queries.paging import read_cursor, write_cursor

ORDER = {
    "id": "o1",
    "customer": {"id": "c", "email": "a@b"},
    "lines": [{"sku": "x", "note": "hi"}],
    "shipTo": {"a/b": "Ann"},
}


@pytest.mark.parametrize(
    ("pointers", "masked"),
    [
        ((), ORDER),
        (["/customer/email"], ORDER | {"customer": {"id": "c", "email": MASK}}),
        (["/shipTo"], ORDER | {"shipTo": {"a/b": MASK}}),
        (["/shipTo/a~1b"], ORDER | {"shipTo": {"a/b": MASK}}),
        (["/lines/*/note"], ORDER | {"lines": [{"sku": "x", "note": MASK}]}),
        (["/lines/note"], ORDER | {"lines": [{"sku": "x", "note": MASK}]}),
        (["/lines/0/note", "/lines/7/note", "/nothing/there"], ORDER | {"lines": [{"sku": "x", "note": MASK}]}),
        (["/id/email", "/lines/0/sku/x"], ORDER | {"id": MASK, "lines": [{"sku": MASK, "note": "hi"}]}),
    ],
)
def test_what_a_pointer_names_is_masked(pointers: list[str], masked: Any) -> None:
    """Objects and lists keep their shape; what is not named stays."""
    assert mask(ORDER, pointers) == masked


def test_only_an_events_own_headers_are_shown() -> None:
    """Nobody says what another program wrote beside an event, so its name is shown alone."""
    assert mask_headers({"ce_id": "1", "x-user": "ann"}) == {"ce_id": "1", "x-user": MASK}


def test_an_event_in_structured_mode_is_masked_in_its_data() -> None:
    """Its attributes stay; data in base64 cannot be told apart, so all of it is masked."""
    event = {"specversion": "1.0", "id": "1", "data": ORDER}
    hidden = event | {"data": ORDER | {"customer": {"id": "c", "email": MASK}}}
    assert mask(event, ["/customer/email"]) == hidden
    coded = {"specversion": "1.0", "data_base64": "eyJjIjoxfQ=="}
    assert mask(coded, ["/customer/email"]) == coded | {"data_base64": MASK}
    assert mask(event, ()) == event
    assert mask(json.dumps(ORDER), ["/customer/email"]) == MASK, "text in which the data stands"


@pytest.mark.parametrize("written", [json.dumps, lambda data: json.dumps(data, separators=(",", ":"))])
@pytest.mark.parametrize(
    ("part", "found"),
    [("o1", True), ("Grüße", True), ("a@", False), ('"email": "a', False), ('"email":"a', False), ("Z\\u00fc", False)],
)
def test_what_is_masked_is_not_found_by_its_parts(written: Callable[[Any], str], part: str, found: bool) -> None:
    """Nobody guesses a hidden text letter by letter, however its record is written: with blanks, with escapes."""
    data = ORDER | {"customer": {"id": "Grüße", "email": "a@b", "name": "Zürn"}}
    text = written(data) if part.isascii() else json.dumps(data, ensure_ascii=False)
    record = Message(topic="t", partition=0, offset=0, value=text.encode())
    asked = EventFilter(contains=part)
    assert asked.fits(record, ("/customer/email", "/customer/name")) is found
    assert asked.fits(record, ()) is (part in text)


def test_a_part_of_data_that_is_all_masked_is_not_looked_for() -> None:
    """Where nobody says what is personal, the question is refused, and says what to ask instead."""
    with pytest.raises(InvalidQuestionError, match="nobody says what"):
        browse_events({}, "shop.order-created", EventFilter(contains="a@b"))


def test_where_nobody_knows_what_is_personal_all_is_masked() -> None:
    """Names of fields stay, and what cannot be personal: true, false and nothing."""
    assert mask({"a": "x", "b": [1, None, True], "c": {}}, None) == {"a": MASK, "b": [MASK, None, True], "c": {}}
    assert mask("text", None) == MASK


def test_a_place_in_a_list_comes_back_as_it_was() -> None:
    """A cursor holds time and name, whatever the name has in it; another text is refused."""
    at, name = read_cursor(None)
    for said in (name, "a b", "ä/+", "2026-01-01"):
        assert read_cursor(write_cursor(at, said)) == (at, said)
    for wrong in ("x", "ä", "!!!", "aGVsbG8", ""):
        with pytest.raises(ReadError, match="no place"):
            read_cursor(wrong)
