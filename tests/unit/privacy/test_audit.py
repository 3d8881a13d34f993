"""The audit trail tells of what was done to it."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderflow_console.actions import audit


class Trail:
    """A database with the trail's table alone."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    async def fetchrow(self, _: str) -> dict[str, Any] | None:
        """Give the last entry."""
        return self.rows[-1] if self.rows else None

    async def fetchval(self, _: str) -> str:
        """Give the time."""
        return f"2026-01-01T00:00:0{len(self.rows)}Z"

    async def execute(self, _: str, *values: Any) -> None:
        """Add an entry."""
        columns = ("number", "at", "who", "what", "subject", "details", "previous", "hash")
        self.rows.append(dict(zip(columns, values, strict=True)))


@pytest.fixture
async def trail() -> Trail:
    """Three entries."""
    trail = Trail()
    for number in range(3):
        await audit.append(trail, "ann", "ERASED", f"person {number}", {"rows": number})
    return trail


def test_a_whole_trail_has_no_fault(trail: Trail) -> None:
    """As it was written it is whole, and its head is the last entry's hash."""
    verdict = audit.verify(trail.rows, trail.rows[1]["hash"])
    assert (verdict.entries, verdict.head, list(verdict.faults)) == (3, trail.rows[2]["hash"], [])


@pytest.mark.parametrize("column", ["at", "who", "what", "subject", "details", "previous", "hash"])
@pytest.mark.parametrize("place", range(3))
def test_a_changed_entry_is_found(trail: Trail, place: int, column: str) -> None:
    """Whatever is changed of whichever entry."""
    trail.rows[place][column] += "x"
    assert audit.verify(trail.rows).faults


@pytest.mark.parametrize("place", range(2))
def test_a_missing_entry_is_found(trail: Trail, place: int) -> None:
    """Also the first, and also where the numbers are put right."""
    del trail.rows[place]
    assert audit.verify(trail.rows).faults
    for number, row in enumerate(trail.rows, 1):
        row["number"] = number
    assert audit.verify(trail.rows).faults


def test_an_end_that_was_cut_off_is_found_by_a_hash_noted_elsewhere(trail: Trail) -> None:
    """The chain itself does not know how long it was."""
    head = trail.rows.pop()["hash"]
    assert not audit.verify(trail.rows).faults
    assert audit.verify(trail.rows, head).faults


def _of(size: int) -> list[dict[str, Any]]:
    """Give a trail of so many entries."""
    trail = Trail()

    async def write() -> None:
        for number in range(size):
            await audit.append(trail, "ann", "ERASED", f"person {number}", {"rows": number})  # type: ignore[arg-type]  # a double

    asyncio.run(write())
    return trail.rows


@given(st.data())
def test_whatever_is_taken_out_put_elsewhere_or_changed_is_found(data: st.DataObject) -> None:
    """Any entries but the last, in any order, with their numbers put right or not, and any letter of any column."""
    rows = _of(data.draw(st.integers(2, 6), "size"))
    head, before = rows[-1]["hash"], [dict(row) for row in rows]
    for _ in range(data.draw(st.integers(1, 3), "changes")):
        place = data.draw(st.integers(0, len(rows) - 1), "place")
        match data.draw(st.sampled_from(["take", "move", "change"]), "what"):
            case "take":
                del rows[place]
            case "move":
                rows.insert(data.draw(st.integers(0, len(rows)), "to"), rows.pop(place))
            case _:
                column = data.draw(
                    st.sampled_from(["at", "who", "what", "subject", "details", "previous", "hash"]), "of"
                )
                rows[place][column] = data.draw(st.text(max_size=5), "text")
        if not rows:
            break
    if data.draw(st.booleans(), "renumbered"):
        for number, row in enumerate(rows, 1):
            row["number"] = number
    assert bool(audit.verify(rows, head).faults) == (rows != before)
