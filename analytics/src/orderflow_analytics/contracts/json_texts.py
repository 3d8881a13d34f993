"""Values that no type of a column has, of several types or with any names: a column keeps their JSON as text."""

from collections.abc import Iterable
from typing import Any

from pydantic_core import from_json, to_json

Path = tuple[str, ...]
"""Where a column stands in the data: names of columns, `*` for each item of a list."""


def with_texts(data: bytes, texts: Iterable[Path]) -> bytes:
    """Return an object in JSON with the values at these places as texts of their JSON; null stays null."""
    found = from_json(data)
    for path in texts:
        found = _with_text(found, path)
    return to_json(found)


def _with_text(value: Any, path: Path) -> Any:
    if value is None:
        return None
    if not path:
        return to_json(value).decode()
    first, *rest = path
    if first == "*":
        return [_with_text(item, tuple(rest)) for item in value]
    return {**value, first: _with_text(value.get(first), tuple(rest))}
