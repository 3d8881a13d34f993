"""From a message to the request that it becomes. Pure: what makes a message no request is told as a reason.

The body is handed on as it is: what an order is, the service says, to this sender as to all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orderflow_contracts.envelope import is_traceparent

_MOST_KEY = 255
_MOST_WORD = 1024
_JSON = "application/json"


class UnusableMessageError(Exception):
    """A message that cannot be handed on at all; `str()` says why, and what its sender can do."""


@dataclass(frozen=True)
class Message:
    """What of an AMQP message matters to the service: properties and headers as they came, whatever their types."""

    body: bytes
    message_id: object = None
    content_type: object = None
    content_encoding: object = None
    headers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """A POST: the same key, whenever it comes again, is the same request."""

    key: str
    headers: Mapping[str, str]
    body: bytes


def request_of(message: Message, key_header: str | None, source: str) -> Request:
    """Return the request of a message, whose key stands in this header (None: in its property message-id).

    Sources number their messages each for itself, so the service is told the source's name before the key, `erp/17`;
    an empty one is told as nothing. Raise `UnusableMessageError` for a message without a key, or with properties that
    HTTP cannot carry.
    """
    space = f"{source}/" if source else ""
    key = _key(message, key_header, _MOST_KEY - len(space))
    headers = {"idempotency-key": space + key, "content-type": _word("content-type", message.content_type) or _JSON}
    if coding := _word("content-encoding", message.content_encoding):
        headers["content-encoding"] = coding
    return Request(key, headers | _trace(message.headers), message.body)


def _key(message: Message, header: str | None, most: int) -> str:
    """Return the key. One that HTTP would trim is none: two messages would be taken for one."""
    where = f"header {header}" if header else "property message-id"
    found = message.headers.get(header) if header else message.message_id
    if isinstance(found, int) and not isinstance(found, bool):
        found = str(found)
    if not found:
        raise UnusableMessageError(f"its {where} is missing: it says which message this is, the same each time")
    if not isinstance(found, str) or len(found) > most or found != found.strip() or not _is_plain(found):
        raise UnusableMessageError(
            f"its {where} is no key: send 1 to {most} characters of text, without control characters, not "
            "beginning or ending with a blank"
        )
    return found


def _word(name: str, value: object) -> str | None:
    """Return a property as a header may have it; None where the message has none."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > _MOST_WORD or not (value.isascii() and value.isprintable()):
        raise UnusableMessageError(f"its property {name} is no word that HTTP can carry: send it in ASCII")
    return value


def _trace(headers: Mapping[str, Any]) -> dict[str, str]:
    """Return the place in its sender's trace; what is no such place decides nothing, and is left out."""
    parent, state = headers.get("traceparent"), headers.get("tracestate")
    if not (isinstance(parent, str) and is_traceparent(parent)):
        return {}
    known = isinstance(state, str) and state.isascii() and state.isprintable() and 0 < len(state) <= _MOST_WORD
    return {"traceparent": parent} | ({"tracestate": str(state)} if known else {})


def _is_plain(text: str) -> bool:
    """Return whether a text has no control characters and can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return not any(ord(letter) < 32 or ord(letter) == 127 for letter in text)
