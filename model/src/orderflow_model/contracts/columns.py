"""Where the lake has an event's data: the names of its table and of its columns."""

import re

from orderflow_model.contracts.schema import Field, unescaped

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Where a word begins in a name in camelCase; a number belongs to the word before it, as in `line2`."""


def table_name(event: str) -> str:
    """Return the name of an event's curated table."""
    return event.lower()


def column_name(name: str) -> str:
    """Return the name that a field has in the lake; JSON does not tell `line_2` or `x1y` of a class from others."""
    return _WORD.sub("_", name).replace("-", "_").lower()


def column(place: str) -> str:
    """Return where a field stands in its table, by its pointer: `ship_to.country`, `lines.sku`."""
    parts = (unescaped(part) for part in place.split("/")[1:])
    return ".".join(column_name(part) for part in parts if part != "*" and not part.isdigit())


def columns(data: Field) -> dict[str, str]:
    """Return the kind of each field that holds a value in the lake, by its pointer; personal ones have none there."""
    return {field.place: field.kind for field in data.walk() if not field.below and not field.personal}
