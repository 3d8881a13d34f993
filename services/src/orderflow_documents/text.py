"""The text of a document, as far as it has any that can be read here. Pure."""

from email.message import Message

_MOST_CHARACTERS = 100_000
"""Of a text's beginning that is searched: Postgres takes a megabyte of words, positions among it."""


def text_of(body: bytes, content_type: str) -> str:
    """Return what can be searched: the text of a `text/…`, nothing of any other type."""
    header = Message()
    header["content-type"] = content_type
    if not content_type.lower().startswith("text/"):
        return ""
    return _decoded(body, header.get_content_charset() or "utf-8").replace("\0", " ")[:_MOST_CHARACTERS]


def _decoded(body: bytes, encoding: str) -> str:
    """Return the text of an encoding; of one that is none, or cannot be told, what it is as UTF-8."""
    try:
        return body.decode(encoding, errors="replace")
    except (LookupError, ValueError):
        return body.decode(errors="replace")
