"""Times in objects of Kubernetes are read in each form of RFC 3339 and written in one."""

from datetime import UTC, datetime

import pytest

from orderflow_model.timestamps import read_time, write_time

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T12:00:00Z",
        "2026-01-01t12:00:00z",
        "2026-01-01T12:00:00.000Z",
        "2026-01-01T14:00:00+02:00",
        "2026-01-01T12:00:00.000000000-00:00",
    ],
)
def test_every_form_is_the_same_instant(text: str) -> None:
    """What a `date-time` of a CRD lets in is read, and written again as Kubernetes itself writes it."""
    assert read_time(text) == NOON
    assert write_time(read_time(text)) == "2026-01-01T12:00:00Z"


@pytest.mark.parametrize("text", ["", "2026-01-01T12:00:00", "noon", "2026-13-01T12:00:00Z"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    """A time that does not say its offset could be any of many."""
    with pytest.raises(ValueError, match=r".+"):
        read_time(text)
