"""The CloudEvents envelope on Kafka: what is written is read again, damage is named, odd metadata left aside."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderflow_contracts.envelope import Content, Envelope, Header, read_content
from orderflow_contracts.event import UndecodableError
from orderflow_shop.events import PaymentRefunded

WHEN = datetime(2026, 5, 4, 3, 2, 1, 7, tzinfo=UTC)
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ENVELOPE = Envelope("e1", "/shop/order", "ORDER_CREATED", WHEN, 2, PARENT, "k=v")
MILLISECONDS = 1_777_863_721_250
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=200)
HEX = st.sampled_from("0123456789abcdef")
PARENTS = st.builds(
    lambda trace, span, flags: f"00-{'1' + ''.join(trace)}-{'2' + ''.join(span)}-{flags:02x}",
    st.lists(HEX, min_size=31, max_size=31),
    st.lists(HEX, min_size=15, max_size=15),
    st.integers(0, 255),
)
ENVELOPES = st.builds(
    Envelope,
    id=TEXT,
    source=TEXT,
    type=TEXT,
    time=st.datetimes(timezones=st.just(UTC)),
    version=st.integers(1, 99_999),
    traceparent=PARENTS,
    tracestate=st.none() | st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=200),
)


def changed(name: str, value: bytes | None) -> list[Header]:
    """Give the headers with one attribute changed, or without it."""
    rest = [header for header in ENVELOPE.headers() if header[0] != name]
    return rest if value is None else [*rest, (name, value)]


def read(headers: list[Header], value: bytes = b"{}", timestamp: int = -1) -> Envelope:
    """Give the attributes that are read."""
    return read_content(headers, value, timestamp).envelope


def structured(
    members: dict[str, Any], content_type: str = "application/cloudevents+json", name: str = "content-type"
) -> Content:
    """Read an event in structured mode."""
    value = json.dumps(members).encode()
    return read_content([(name, content_type.encode())], value, MILLISECONDS)


MEMBERS = {
    "specversion": "1.0",
    "id": "e1",
    "source": "/shop/order",
    "type": "ORDER_CREATED",
    "time": "2026-05-04T03:02:01.000007Z",
    "dataversion": "2",
    "traceparent": PARENT,
    "tracestate": "k=v",
    "data": {"a": [1, 2.50, "ä"]},
}


@given(ENVELOPES)
def test_envelope_is_read_as_it_was_written(envelope: Envelope) -> None:
    """Any attributes come back equal from the headers, and nothing of them is left aside."""
    content = read_content(envelope.headers(), b"{}")
    assert content == Content(envelope, b"{}")


@given(st.datetimes(timezones=st.just(UTC)))
def test_time_is_written_with_six_digits_of_fraction(time: datetime) -> None:
    """Whatever the time, its text has one form, so that it sorts and compares as text."""
    (written,) = [value for name, value in Envelope("e", "s", "t", time).headers() if name == "ce_time"]
    assert written is not None
    assert len(written) == len(b"2026-05-04T03:02:01.000000+00:00")


@given(
    time=st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC)),
    digits=st.text("0123456789", max_size=30),
    minutes=st.integers(-1439, 1439) | st.none(),
    separator=st.sampled_from("Tt"),
    zulu=st.sampled_from("Zz"),
)
def test_every_time_of_the_standard_is_read(
    time: datetime, digits: str, minutes: int | None, separator: str, zulu: str
) -> None:
    """RFC 3339 in any case, with any offset and any number of digits, is the same instant; below 1 µs is cut off."""
    whole = time.replace(microsecond=0)
    local = whole.astimezone(timezone(timedelta(minutes=minutes or 0))).replace(tzinfo=None)
    offset = zulu if minutes is None else f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    text = f"{local.isoformat().replace('T', separator)}{'.' if digits else ''}{digits}{offset}"
    expected = whole + timedelta(microseconds=int(f"{digits}000000"[:6]))
    assert read(changed("ce_time", text.encode())).time == expected


def test_a_leap_second_is_the_second_after_it() -> None:
    """The clock of the record's reader has no leap seconds, as POSIX has none."""
    leap = read(changed("ce_time", b"2016-12-31T23:59:60.25Z")).time
    assert leap == datetime(2017, 1, 1, 0, 0, 0, 250_000, UTC)


@pytest.mark.parametrize(
    "time",
    [
        b"yesterday",
        b"2026-05-04",
        b"2026-05-04T03:02:01",
        b"2026-05-04T03:02Z",
        b"20260504T030201Z",
        b"2026-W19-1T03:02:01Z",
        b"2026-05-04T03:02:01,5Z",
        b"2026-05-04T03:02:01.Z",
        b"2026-05-04T03:02:61Z",
        b"2026-05-04T24:00:00Z",
        b"2026-05-04T03:02:01+24:00",
        b"2026-02-30T00:00:00Z",
        b"0000-01-01T00:00:00Z",
        b"0001-01-01T00:00:00+23:00",
        b"9999-12-31T23:59:59-12:00",
        b"9999-12-31T23:59:60Z",
        b"2026-05-04T03:02:01Z ",
        "2026-05-04T03:02:0١Z".encode(),
    ],
)
def test_time_that_is_no_instant_is_refused(time: bytes) -> None:
    """A time without offset, out of range, in words or in another form of ISO 8601 is refused."""
    with pytest.raises(UndecodableError, match="ce_time"):
        read(changed("ce_time", time))


@pytest.mark.parametrize("headers", [changed("ce_time", None), [*changed("ce_time", None), ("ce_time", None)]])
def test_the_records_time_stands_in_for_that_of_an_event_without_one(headers: list[Header]) -> None:
    """CloudEvents need no time: the record's timestamp is taken, and that it was is told."""
    content = read_content(headers, b"{}", MILLISECONDS)
    assert content.envelope.time == datetime(2026, 5, 4, 3, 2, 1, 250_000, UTC)
    assert content.timeless
    assert not read_content(ENVELOPE.headers(), b"{}", MILLISECONDS).timeless
    for none in (-1, 2**62):
        with pytest.raises(UndecodableError, match="ce_time"):
            read_content(headers, b"{}", none)


def test_foreign_headers_are_tolerated_and_a_missing_version_is_the_first() -> None:
    """Other libraries' headers do no harm, null values and bytes included; without a version it is 1."""
    headers: list[Header] = [*changed("ce_dataversion", None), ("b3", b"\xff\x00"), ("x", None), ("ünï", b"")]
    assert read(headers).version == 1


@pytest.mark.parametrize("name", ["ce_id", "ce_source", "ce_type", "ce_time", "ce_specversion"])
@pytest.mark.parametrize("value", [b"", b"\xff", b"a\x00b", b"x" * 1025])
def test_damaged_attribute_is_named(name: str, value: bytes) -> None:
    """An attribute that is empty, not UTF-8, too long or holds a NUL is refused by its name."""
    with pytest.raises(UndecodableError, match=name):
        read(changed(name, value))


@pytest.mark.parametrize("name", ["ce_id", "ce_source", "ce_type", "ce_specversion"])
def test_missing_attribute_is_named(name: str) -> None:
    """What every event has to have is asked for by its name."""
    with pytest.raises(UndecodableError, match=name):
        read(changed(name, None))


@pytest.mark.parametrize("version", [b"0", b"-1", b"1.0", b"", b"100000", "٣".encode()])
def test_version_that_is_no_small_number_is_refused(version: bytes) -> None:
    """The data's version is a positive number of at most five ASCII digits."""
    with pytest.raises(UndecodableError, match="ce_dataversion"):
        read(changed("ce_dataversion", version))


@given(st.binary(max_size=3_000))
def test_a_trace_that_is_none_is_left_aside(odd: bytes) -> None:
    """Whatever bytes stand for the trace, the event is read, and never carries on what is no trace."""
    headers = [*changed("traceparent", odd), ("tracestate", b"k=v")]
    content = read_content(headers, b"{}")
    assert content.envelope.traceparent is None
    assert content.envelope.tracestate is None
    assert sorted(content.ignored) == ["traceparent", "tracestate"]


@pytest.mark.parametrize(
    "parent",
    ["", "00", f"{PARENT}-more", f"01-{PARENT[3:]}-{'x' * 1_000}", PARENT.upper(), f"{PARENT}\n", f"01{PARENT[2:]}-\n"],
)
def test_a_traceparent_that_is_nearly_one_is_left_aside(parent: str) -> None:
    """Neither length nor a coming version opens the way for bytes that no header takes."""
    assert read_content(changed("traceparent", parent.encode()), b"{}").envelope.traceparent is None


@pytest.mark.parametrize("state", [b"\xff", b"a=\x00", b"a=b\r\nx: y", b"a" * 1_025, "ä=ö".encode()])
def test_a_tracestate_that_no_header_takes_is_left_aside(state: bytes) -> None:
    """It would fail the request to the outside that carries it on."""
    content = read_content(changed("tracestate", state), b"{}")
    assert (content.envelope.traceparent, content.envelope.tracestate) == (PARENT, None)
    assert content.ignored == ("tracestate",)


def test_extensions_are_left_aside_and_counted() -> None:
    """Attributes that nobody here knows, whatever their names and bytes, change nothing."""
    odd: list[Header] = [("ce_tenant", b"\xff\x00"), ("ce_", b""), ("ce_Ünï", b"x" * 5_000)]
    content = read_content([*ENVELOPE.headers(), *odd, ("ce_subject", b"s")], b"{}")
    assert content.envelope == ENVELOPE
    assert content.ignored == ("extension",) * 3


@pytest.mark.parametrize(
    "content_type",
    [
        "application/cloudevents+json",
        "application/cloudevents+json; charset=UTF-8",
        'APPLICATION/CloudEvents+JSON;profile=x; Charset="utf-8"',
        " application/cloudevents+json ;charset=us-ascii",
    ],
)
@pytest.mark.parametrize("name", ["content-type", "Content-Type", "CONTENT-TYPE"])
def test_structured_mode_is_read_as_binary_mode(content_type: str, name: str) -> None:
    """Whatever the case of the content type and its header, the same event comes of the record's value."""
    content = structured(MEMBERS, content_type, name)
    assert content.envelope == ENVELOPE
    assert json.loads(content.data) == MEMBERS["data"]
    assert not content.ignored


@given(ENVELOPES, st.binary(max_size=50))
def test_the_modes_are_one_event(envelope: Envelope, data: bytes) -> None:
    """Any event's attributes and bytes are the same in structured mode as in binary mode."""
    found = {name.removeprefix("ce_"): (value or b"").decode() for name, value in envelope.headers()}
    found |= {"data_base64": base64.b64encode(data).decode()}
    del found["content-type"]
    assert structured(found) == read_content(envelope.headers(), data)


def test_null_members_are_not_there() -> None:
    """In JSON an attribute that is null is not set: here it leaves the time to the record and the version at 1."""
    content = structured(MEMBERS | {"time": None, "dataversion": None, "tracestate": None, "subject": None})
    assert content.timeless
    assert (content.envelope.version, content.envelope.tracestate) == (1, None)


def test_a_number_for_the_version_and_odd_extensions_are_read() -> None:
    """A whole number is one in JSON, and what stands in an extension is nobody's business here."""
    odd = {"dataversion": 2, "x": {"deep": []}, "y": 1.5, "traceparent": 7, "tracestate": None}
    content = structured(MEMBERS | odd)
    assert content.envelope.version == 2
    assert sorted(content.ignored) == ["extension", "extension", "traceparent"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "no JSON object"),
        (b"[]", "no JSON object"),
        (b'{"id": "\xff"}', "id"),
        (b"[" * 100_000, "no JSON object"),
        (b'{"x":' * 100_000, "no JSON object"),
        (b'{"specversion": "1.0", "id": 5, "data": {}}', "id is not text"),
        (b'{"id": "x", "data": {}, "data_base64": ""}', "both"),
        (b'{"id": "x", "data_base64": "*"}', "base64"),
        (json.dumps(MEMBERS | {"specversion": "0.3"}).encode(), "specversion"),
        (json.dumps({k: v for k, v in MEMBERS.items() if k != "data"}).encode(), "no value"),
        (json.dumps(MEMBERS | {"id": "\x00"}).encode(), "ce_id"),
    ],
)
def test_what_is_no_event_in_structured_mode_is_named(value: bytes, reason: str) -> None:
    """Each damage has its own words."""
    with pytest.raises(UndecodableError, match=reason):
        read_content([("content-type", b"application/cloudevents+json")], value)


@pytest.mark.parametrize(
    ("content_type", "reason"),
    [
        ("application/cloudevents-batch+json", "batched mode"),
        ("Application/CloudEvents-Batch+JSON; charset=utf-8", "batched mode"),
        ("application/cloudevents+avro", "JSON"),
        ("application/cloudevents", "JSON"),
        ("application/cloudevents+json; charset=utf-16", "charset"),
    ],
)
def test_forms_that_are_not_read_are_refused_by_name(content_type: str, reason: str) -> None:
    """A producer's owner reads in the dead letter what to change."""
    with pytest.raises(UndecodableError, match=reason):
        structured(MEMBERS, content_type)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_an_event_may_begin_with_a_byte_order_mark(mark: bytes) -> None:
    """As .NET writes text: in structured mode, in its data, and in a value of binary mode."""
    value = PaymentRefunded(order_id="o1", currency="EUR", amount=5).encode()
    whole = MEMBERS | {"data_base64": base64.b64encode(mark + value).decode()}
    del whole["data"]
    read = read_content([("content-type", b"application/cloudevents+json")], mark + json.dumps(whole).encode())
    assert read.envelope.id == MEMBERS["id"]
    assert (
        PaymentRefunded.decode(read.data, 1)
        == PaymentRefunded.decode(mark + value, 1)
        == PaymentRefunded.decode(value, 1)
    )
