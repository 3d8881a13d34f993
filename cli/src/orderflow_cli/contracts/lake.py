"""Which dbt models read an event's data from the lake.

It is judged by words: a model that names an event's table and the column counts as its reader, and so do the models
that refer to it. That may name one too many; SQL made by macros of other files is not seen.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orderflow_cli.errors import place_of
from orderflow_model.contracts.columns import column, table_name
from orderflow_model.contracts.errors import ContractsError

_STAR = re.compile(r"(?:select|distinct|,|\.)\s*\*", re.IGNORECASE)
_PARTS = re.compile(r"_|(?<=\D)(?=\d)|(?<=\d)(?=\D)")
"""Where a column may have a `_` of its class: `line_2` and `line2` are one field in JSON."""
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/|\{#.*?#\}", re.DOTALL)


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
    return bool(_STAR.search(text)) or all(_names(text, part) for part in parts if part)


def _names(text: str, part: str) -> bool:
    name = "_?".join(map(re.escape, _PARTS.split(part)))
    return bool(re.search(rf"\b{name}\b", text, re.IGNORECASE))
