"""What is personal in an event's data is hidden where it stands, and its shape is kept."""

from typing import Any

import pytest

from orderflow_console.queries.errors import ReadError
from orderflow_console.queries.masking import MASK, mask
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
    ],
)
def test_what_a_pointer_names_is_masked(pointers: list[str], masked: Any) -> None:
    """Objects and lists keep their shape; what is not named stays."""
    assert mask(ORDER, pointers) == masked


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
