"""The CloudEvents envelope in record headers: what is written is read again, and damage is named."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderflow_contracts.envelope import MAX_HEADERS, Envelope, Header, read_envelope
from orderflow_contracts.event import Undecodable

WHEN = datetime(2026, 5, 4, 3, 2, 1, 7, tzinfo=UTC)
ENVELOPE = Envelope("e1", "/shop/order", "ORDER_CREATED", WHEN, 2, "00-a-b-01", "k=v")
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=200)


def changed(name: str, value: bytes | None) -> list[Header]:
    """Give the headers with one attribute changed, or without it."""
    rest = [header for header in ENVELOPE.headers() if header[0] != name]
    return rest if value is None else [*rest, (name, value)]


@given(
    st.builds(
        Envelope,
        id=TEXT,
        source=TEXT,
        type=TEXT,
        time=st.datetimes(timezones=st.just(UTC)),
        version=st.integers(1, 99_999),
        traceparent=st.none() | TEXT,
        tracestate=st.none() | TEXT,
    )
)
def test_envelope_is_read_as_it_was_written(envelope: Envelope) -> None:
    """Any attributes come back equal from the headers."""
    assert read_envelope(envelope.headers()) == envelope


def test_time_of_another_zone_is_read_as_utc() -> None:
    """An event's time is the same instant, whatever offset its producer wrote."""
    elsewhere = WHEN.astimezone(timezone(timedelta(hours=-7)))
    assert read_envelope(changed("ce_time", elsewhere.isoformat().encode())).time == WHEN
    assert read_envelope(changed("ce_time", b"2026-05-04T03:02:01.000007Z")).time == WHEN


def test_foreign_headers_are_tolerated_and_a_missing_version_is_the_first() -> None:
    """Other libraries' headers do no harm, null values and bytes included; without a version it is 1."""
    headers: list[Header] = [*changed("ce_dataversion", None), ("b3", b"\xff\x00"), ("x", None), ("ünï", b"")]
    assert read_envelope(headers).version == 1


@pytest.mark.parametrize("name", ["ce_id", "ce_source", "ce_type", "ce_time", "ce_specversion"])
@pytest.mark.parametrize("value", [None, b"", b"\xff", b"a\x00b", b"x" * 1025])
def test_damaged_attribute_is_named(name: str, value: bytes | None) -> None:
    """An attribute that is missing, empty, not UTF-8, too long or holds a NUL is refused by its name."""
    with pytest.raises(Undecodable, match=name):
        read_envelope(changed(name, value))


@pytest.mark.parametrize(
    "time", [b"yesterday", b"2026-05-04T03:02:01", b"9999-12-31T23:59:59-12:00", b"2026-13-01T00:00Z"]
)
def test_time_that_is_no_instant_is_refused(time: bytes) -> None:
    """A time without offset, out of range or in words is refused."""
    with pytest.raises(Undecodable, match="ce_time"):
        read_envelope(changed("ce_time", time))


@pytest.mark.parametrize("version", [b"0", b"-1", b"1.0", b"", b"100000", "٣".encode()])
def test_version_that_is_no_small_number_is_refused(version: bytes) -> None:
    """The data's version is a positive number of at most five ASCII digits."""
    with pytest.raises(Undecodable, match="ce_dataversion"):
        read_envelope(changed("ce_dataversion", version))


def test_too_many_headers_are_refused() -> None:
    """A record with thousands of headers is refused before they are read."""
    spare = MAX_HEADERS - len(ENVELOPE.headers())
    assert read_envelope([*ENVELOPE.headers(), *[("h", b"")] * spare]) == ENVELOPE
    with pytest.raises(Undecodable, match="10009 headers"):
        read_envelope([*ENVELOPE.headers(), *[("h", b"")] * 10_000])


def test_header_name_that_is_not_utf8_is_refused() -> None:
    """A name of bytes that are no text cannot be kept with a dead letter, so the record goes there at once."""
    with pytest.raises(Undecodable, match="not UTF-8"):
        read_envelope([*ENVELOPE.headers(), ("h\udcff", b"")])
