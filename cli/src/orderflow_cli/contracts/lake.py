"""Where the lake has an event's data, and which dbt models read it from there.

It is judged by words: a model that names an event's table and the column counts as its reader, and so do the models
that refer to it. That may name one too many; SQL made by macros of other files is not seen.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic.alias_generators import to_snake

from orderflow_cli.contracts.errors import ContractsError
from orderflow_cli.contracts.schema import Field, unescaped
from orderflow_cli.errors import place_of

_STAR = re.compile(r"(?:select|distinct|,|\.)\s*\*", re.IGNORECASE)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/|\{#.*?#\}", re.DOTALL)


def table_name(event: str) -> str:
    """Return the name of an event's curated table."""
    return event.lower()


def column_name(name: str) -> str:
    """Return the name that a field has in the lake."""
    return str(to_snake(name))


def column(place: str) -> str:
    """Return where a field stands in its table, by its pointer: `ship_to.country`, `lines.sku`."""
    parts = (unescaped(part) for part in place.split("/")[1:])
    return ".".join(column_name(part) for part in parts if part != "*" and not part.isdigit())


def columns(data: Field) -> dict[str, str]:
    """Return the kind of each field that holds a value in the lake, by its pointer; personal ones have none there."""
    return {field.place: field.kind for field in data.walk() if not field.below and not field.personal}


@dataclass(frozen=True)
class Models:
    """The SQL of a dbt project's models by their names, without comments."""

    texts: Mapping[str, str]

    def reading(self, event: str, place: str) -> tuple[str, ...]:
        """Return the models that a field reaches, those that read its table first; an empty place is all of it."""
        found = [name for name, text in self.texts.items() if _reads(text, table_name(event), column(place).split("."))]
        for name in found:  # grows while it is gone through
            found += [other for other in self._referring(name) if other not in found]
        return tuple(found)

    def _referring(self, model: str) -> Iterator[str]:
        named = re.compile(rf"\bref\(\s*['\"]{re.escape(model)}['\"]")
        return (name for name, text in self.texts.items() if named.search(text))


def load_models(folder: Path) -> Models:
    """Return the models of a dbt project; raise `ContractsError` where there is none."""
    try:
        files = sorted((folder / "models").rglob("*.sql"))
        texts = {file.stem: _COMMENT.sub(" ", file.read_text(encoding="utf-8")) for file in files}
    except (OSError, UnicodeDecodeError) as error:
        why = place_of(error) if isinstance(error, OSError) else str(error)
        raise ContractsError(f"models cannot be read: {why}", "Name the folder of the dbt project") from None
    if not texts:
        raise ContractsError(f"{folder}/models has no model", "Name the folder of the dbt project (--models)")
    return Models(texts)


def _reads(text: str, table: str, parts: list[str]) -> bool:
    if "source(" not in text or not re.search(rf"['\"]{re.escape(table)}['\"]", text):
        return False
    return bool(_STAR.search(text)) or all(re.search(rf"\b{re.escape(part)}\b", text) for part in parts if part)
