"""What a person may change of a dead letter's event, and what they are told where they may not."""

import json
import uuid
from typing import Any

import pytest

from orderflow_console.actions.edit import EditError, Terms, edited, hashes, read_data, shown_data, with_changes
from orderflow_console.queries.letter_records import DeadRecord
from orderflow_console.queries.masking import MASK

PERSONAL = ("/customer/email", "/lines/*/note")
DATA = {
    "orderId": "o1",
    "amount": 5,
    "customer": {"id": "c1", "email": "ada@example.com"},
    "lines": [{"sku": "A", "note": "for Ada"}, {"sku": "B", "note": "for Bea"}],
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["orderId", "amount"],
    "properties": {
        "orderId": {"type": "string"},
        "amount": {"type": "integer", "minimum": 1},
        "lines": {"type": "array", "items": {"properties": {"sku": {"maxLength": 1}}}},
    },
    "additionalProperties": False,
}
SCHEMA["properties"]["customer"] = {"type": "object"}
SEALED = "~sealed:1:n:00000000000000000000000000000001:AAAA"


def record(data: Any = DATA, content_type: bytes = b"application/json") -> DeadRecord:
    """A dead letter's record with these data."""
    value = data if isinstance(data, bytes) else json.dumps(data).encode()
    headers = [("content-type", content_type), ("ce_id", b"e1")]
    return DeadRecord(uuid.UUID(int=1), (0, 0), "shop.order-created", b"o1", headers, value)


def shown(*changes: tuple[str, Any]) -> Any:
    """What a person sees of the data, with their changes."""
    return with_changes(shown_data(record(), PERSONAL), changes)


def test_what_is_masked_stays_as_it_was() -> None:
    """The person saw masks; the event that goes back has what was there, the change, and all of its metadata."""
    given = shown(("/amount", 7), ("/lines/1/sku", "C"))
    assert "ada" not in json.dumps(given)
    repair = edited(record(), given, Terms(PERSONAL, SCHEMA))
    wanted = json.loads(json.dumps(DATA))
    wanted["amount"], wanted["lines"][1]["sku"] = 7, "C"
    assert repair.value == wanted
    put_back = repair.apply(record())
    assert (put_back.headers, put_back.key) == (record().headers, record().key)


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (shown(("/customer/email", "eve@example.com")), "/customer/email"),
        (shown(("/customer", {"id": "c1"})), "/customer/email"),
        (shown(("/lines/0/note", None)), "/lines/0/note"),
        (shown(("/lines", [{"sku": "B", "note": MASK}])), "/lines/0/note|/lines/1/note"),
        (shown(("/lines", [{"sku": "A"}, {"sku": "B"}])), "/lines/0/note"),
    ],
)
def test_what_is_personal_stays_unless_one_may(given: Any, place: str) -> None:
    """A change of what is personal, by whatever way, is refused at its place but to who may; never if it is sealed."""
    with pytest.raises(EditError) as refused:
        edited(record(), given, Terms(PERSONAL))
    assert refused.value.problem.partition(":")[0] in place.split("|")
    edited(record(), given, Terms(PERSONAL, may_change_personal=True))
    with pytest.raises(EditError, match="sealed"):
        edited(record(), given, Terms(PERSONAL, sealed=True, may_change_personal=True))


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (shown(("/amount", 0)), "/amount: is not as minimum 1 asks"),
        (shown(("/amount", "secret")), '/amount: is not as type "integer" asks'),
        (shown(("/lines/1/sku", "secret")), "/lines/1/sku: is not as maxLength 1 asks"),
        (shown(("/unknown", "secret")), "the data: has a field that the contract does not know"),
        ({"orderId": "o1", "customer": {"email": MASK}, "lines": shown()["lines"]}, "the data: lacks amount"),
        (["secret"], 'the data: is not as type "object" asks'),
    ],
)
def test_an_edit_is_what_the_contract_says(given: Any, problem: str) -> None:
    """What is not gets its place and what is expected there, and nothing of what the event holds."""
    with pytest.raises(EditError) as refused:
        edited(record(), given, Terms(PERSONAL, SCHEMA, may_change_personal=True))
    assert refused.value.problem.startswith(problem)
    assert "secret" not in str(refused.value)


def test_a_mask_stands_only_for_what_was_there() -> None:
    """Dots that a person wrote elsewhere would be taken for a value."""
    for changes in ([("/orderId", MASK)], [("/new", {"deep": [MASK]})], [("/lines", [*shown()["lines"], MASK])]):
        with pytest.raises(EditError, match="nothing was"):
            edited(record(), shown(*changes), Terms(PERSONAL))


def test_what_is_sealed_is_judged_as_its_readers_see_it() -> None:
    """A sealed number stands as a text, which the contract of the data would refuse."""
    data = {"orderId": "o1", "amount": SEALED}
    terms = Terms(
        ("/amount",), SCHEMA | {"properties": SCHEMA["properties"] | {"amount": {"type": "number"}}}, sealed=True
    )
    assert edited(record(data), {"orderId": "o2", "amount": MASK}, terms).value == {"orderId": "o2", "amount": SEALED}


def test_where_nobody_knows_what_is_personal_nothing_is_changed() -> None:
    """All of another topic's data may be personal."""
    with pytest.raises(EditError, match=r"/amount: it may be personal"):
        edited(record(), shown_data(record(), None) | {"amount": 6}, Terms(None))


def test_an_event_in_structured_mode_stays_the_same_event() -> None:
    """Its data may change, and are judged; what says which event it is may not."""
    event = {"specversion": "1.0", "id": "e1", "source": "/s", "type": "T", "data": DATA}
    whole = record(event, b"application/cloudevents+json")
    given = shown_data(whole, PERSONAL)
    assert (
        edited(whole, with_changes(given, [("/data/amount", 6)]), Terms(PERSONAL, SCHEMA)).value["data"]["amount"] == 6
    )
    for change, place in (
        (("/id", "e2"), "/id"),
        (("/subject", "x"), "/subject"),
        (("/data/amount", 0), "/data/amount"),
    ):
        with pytest.raises(EditError, match=f"^{place}: "):
            edited(whole, with_changes(given, [change]), Terms(PERSONAL, SCHEMA))


def test_what_was_no_json_is_given_anew() -> None:
    """A broken event has no fields to set; all of it may be given, what is personal by who may."""
    broken = record(b'{"orderId": ')
    with pytest.raises(EditError, match="no JSON"):
        shown_data(broken, PERSONAL)
    assert edited(broken, {"orderId": "o1", "amount": 1}, Terms(PERSONAL, SCHEMA)).value["amount"] == 1
    with pytest.raises(EditError, match=r"^/customer/email: it is personal"):
        edited(broken, DATA, Terms(PERSONAL, SCHEMA))


@pytest.mark.parametrize(
    "pointer", ["amount", "", "/none/x", "/lines/2/sku", "/lines/-/sku", "/lines/2", "/lines/x", "/amount/x"]
)
def test_a_place_that_is_not_there_is_told(pointer: str) -> None:
    """Nothing is made where a person may have mistyped."""
    with pytest.raises(EditError):
        shown((pointer, 1))


def test_what_is_kept_of_an_edit_tells_nothing_of_it() -> None:
    """Two hashes, which differ where the data do; a text that is no JSON is told with its line."""
    repair = edited(record(), shown(("/amount", 7)), Terms(PERSONAL))
    found = hashes(record(), repair)
    assert found["before"] != found["after"]
    assert {len(one) for one in found.values()} == {64}
    with pytest.raises(EditError, match="line 2"):
        read_data('{"a": 1,\n b}')
