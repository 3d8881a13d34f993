"""What of a document can be searched."""

import pytest

from orderflow_documents.text import text_of


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        (b"garage", "text/plain", "garage"),
        ("Päckchen".encode("latin-1"), "text/plain; charset=iso-8859-1", "Päckchen"),
        ("Päckchen".encode(), "TEXT/Markdown; charset=none-such", "Päckchen"),
        ("Päckchen".encode(), 'text/html; charset="utf-8"', "Päckchen"),
        (b"a\0b\xff", "text/plain", "a b\ufffd"),
        (b"x\x9c", "text/plain; charset=zlib", "x\ufffd"),
        (b"%PDF", "application/pdf", ""),
        (b"text", "nothing", ""),
    ],
)
def test_only_text_has_words(body: bytes, kind: str, text: str) -> None:
    """In the encoding that its type names; what is no text of it is marked, and no codec of bytes is run."""
    assert text_of(body, kind) == text


def test_a_long_text_is_searched_at_its_beginning() -> None:
    """Postgres takes no more words than a megabyte holds."""
    assert len(text_of(b"a" * 1_000_000, "text/plain")) == 100_000
