"""Columns of a JSON Schema: each of its types as Arrow has it, and as JSON text what has no one type.

What is personal gets no column, whether the contract marks it or the resource points to it: the curated zone has
nothing of people. Source: JSON Schema 2020-12; JSON pointers by RFC 6901, where `*` or a number is any item of a list.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pydantic.alias_generators import to_camel

from orderflow_analytics.contracts.json_texts import Path
from orderflow_analytics.errors import ContractError
from orderflow_model.contracts.schema import has_mark, marked_definitions

Schema = Mapping[str, Any]
_SCALARS = {"integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_(), "string": pa.string()}
_TIMES = {"date-time": pa.timestamp("us", "UTC"), "date": pa.date32()}
_ITEM = re.compile(r"/(\*|[0-9]+)(?=/|$)")


@dataclass(frozen=True)
class Columns:
    """The columns of an event's data, and which of them, or parts of them, hold JSON as text."""

    schema: pa.Schema
    texts: tuple[Path, ...]


def columns_of(schema: Schema, event: str, personal: Iterable[str] = ()) -> Columns:
    """Return the columns of an object's schema, in its order, but for what is `personal`, JSON pointers into the data.

    Raise `ContractError` where a pointer points nowhere, since it would hide nothing, and where names are too alike.
    """
    pointers = {_ITEM.sub("", pointer): pointer for pointer in personal}
    definitions = schema.get("$defs", {})
    walk = _Walk(definitions, marked_definitions("personal", definitions), event, frozenset(pointers), set(), [], [])
    found = walk.root(schema)
    for missed in sorted(pointers.keys() - walk.places):
        raise ContractError(f"spec.events: personalData {pointers[missed]} of {event} is not in its contract")
    return Columns(pa.schema(found), tuple(walk.texts))


def as_read(columns: pa.Schema) -> pa.Schema:
    """Return the columns as Arrow's reader of JSON can make them: it knows no days, which come as text."""
    return pa.schema([_as_read(field) for field in columns])


def _as_read(field: pa.Field) -> pa.Field:
    kind = field.type
    if pa.types.is_date(kind):
        return field.with_type(pa.string())
    if pa.types.is_list(kind):
        return field.with_type(pa.list_(_as_read(kind.value_field)))
    if pa.types.is_struct(kind):
        return field.with_type(pa.struct([_as_read(below) for below in kind]))
    return field


@dataclass(frozen=True)
class _Walk:
    """A walk through one schema. `marked` are definitions with something personal; `places` are those that it has seen,
    also below what is hidden; `within` are the definitions that it stands in; `texts` what it found to be
    JSON text."""

    definitions: Schema
    marked: frozenset[str]
    event: str
    personal: frozenset[str]
    places: set[str]
    within: list[str]
    texts: list[Path]

    def root(self, schema: Schema) -> list[pa.Field]:
        """Return the columns of the data as a whole, which refer to a definition where that has itself within it."""
        if "$ref" in schema:
            return list(self._type(schema, "", (), hidden=False) or [])
        return self.fields(schema, "", (), hidden=False)

    def fields(self, schema: Schema, place: str, path: Path, *, hidden: bool) -> list[pa.Field]:
        """Return the columns of an object's properties."""
        found = {
            name: self._type(given, f"{place}/{to_camel(name)}", (*path, name), hidden=hidden)
            for name, given in schema.get("properties", {}).items()
        }
        if twins := len(found) - len({name.lower() for name in found}):
            why = f"{twins} of its fields differ from another only by upper and lower case; columns may not"
            raise ContractError(f"{self.event}{place}: {why}")
        return [pa.field(name, kind) for name, kind in found.items() if kind is not None]

    def _type(self, schema: Schema, place: str, path: Path, *, hidden: bool) -> pa.DataType | None:
        """Return a type; None where all of it is hidden."""
        self.places.add(place)
        hidden = hidden or bool(schema.get("personal")) or place in self.personal
        if "$ref" in schema:
            return self._defined(schema["$ref"].rpartition("/")[2], place, path, hidden=hidden)
        present = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
        if len(present) == 1:
            return self._type(present[0], place, path, hidden=hidden)
        if schema.get("type") == "array" and "items" in schema:
            items = self._type(schema["items"], place, (*path, "*"), hidden=hidden)
            return None if items is None else pa.list_(items)
        if schema.get("type") == "object" and schema.get("properties"):
            fields = self.fields(schema, place, path, hidden=hidden)
            return pa.struct(fields) if fields else None
        kind = _TIMES.get(schema.get("format", "")) or _SCALARS.get(schema.get("type", ""))
        if kind is None:
            return self._text(schema, place, path, hidden=hidden)
        return None if hidden else kind

    def _defined(self, name: str, place: str, path: Path, *, hidden: bool) -> pa.DataType | None:
        if name in self.within:  # it has itself within it, which no columns can
            return self._text(self.definitions[name], place, path, hidden=hidden)
        self.within.append(name)
        found = self._type(self.definitions[name], place, path, hidden=hidden)
        self.within.pop()
        return found

    def _text(self, schema: Schema, place: str, path: Path, *, hidden: bool) -> pa.DataType | None:
        """Return the type of JSON text, which is hidden whole where anything in it may be personal."""
        inside = {pointer for pointer in self.personal if pointer.startswith(f"{place}/")}
        self.places.update(inside)
        if hidden or inside or has_mark("personal", schema, self.marked):
            return None
        self.texts.append(path)
        return pa.string()
