"""From a message to its request: what the key is, and what makes a message none."""

from typing import Any

import pytest

from orderflow_sources.message import Message, UnusableMessageError, request_of


def test_the_key_is_the_id_or_the_header_that_is_named() -> None:
    """A number in a header is a key as well; content type and coding go along, JSON where nothing is said."""
    message = Message(b"{}", "id-1", "application/x", "gzip", {"order-no": 17})
    assert request_of(message, None, "").key == "id-1"
    assert request_of(message, "order-no", "").key == "17"
    assert request_of(message, None, "").headers == {
        "idempotency-key": "id-1",
        "content-type": "application/x",
        "content-encoding": "gzip",
    }
    assert request_of(Message(b"", "é"), None, "").headers["content-type"] == "application/json"


@pytest.mark.parametrize("key", [None, "", " a", "a ", "a\nb", "a\x7f", "x" * 256, b"raw", True, 1.5, ["a"], "\ud800"])
def test_without_a_key_that_http_can_carry_it_is_unusable(key: Any) -> None:
    """What HTTP would cut, trim or break is refused with the place and what to send."""
    with pytest.raises(UnusableMessageError, match="header no"):
        request_of(Message(b"{}", "id-1", headers={"no": key}), "no", "")
    with pytest.raises(UnusableMessageError, match="message-id"):
        request_of(Message(b"{}", key if not isinstance(key, int) else None), None, "")


@pytest.mark.parametrize("word", ["text/\nplain", "text/ä", 7, "x" * 2000])
def test_a_property_that_is_no_header_is_unusable(word: Any) -> None:
    """A content type or coding of odd characters is named."""
    with pytest.raises(UnusableMessageError, match="content-type"):
        request_of(Message(b"", "k", content_type=word), None, "")
    with pytest.raises(UnusableMessageError, match="content-encoding"):
        request_of(Message(b"", "k", content_encoding=word), None, "")


@pytest.mark.parametrize("headers", [{"traceparent": b"x"}, {"traceparent": "00-zz"}, {"tracestate": "a=b"}])
def test_what_is_no_trace_decides_nothing(headers: dict[str, Any]) -> None:
    """It is left out, and the message goes on."""
    assert "traceparent" not in request_of(Message(b"", "k", headers=headers), None, "").headers


def test_two_sources_may_have_messages_of_one_key() -> None:
    """Each numbers for itself: the service is told the source's name with the key, of which there is room for less."""
    told = [request_of(Message(b"{}", "17"), None, source).headers["idempotency-key"] for source in ("erp", "till")]
    assert told == ["erp/17", "till/17"]
    assert len(request_of(Message(b"{}", "x" * 251), None, "erp").headers["idempotency-key"]) == 255
    with pytest.raises(UnusableMessageError, match="1 to 251 characters"):
        request_of(Message(b"{}", "x" * 252), None, "erp")
