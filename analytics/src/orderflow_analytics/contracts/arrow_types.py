"""Columns of a JSON Schema: each of its types as Arrow has it.

What is personal gets no column, whether the contract marks it or the resource points to it: the curated zone has
nothing of people. Source: JSON Schema 2020-12; JSON pointers by RFC 6901, where `*` or a number is any item of a list.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pydantic.alias_generators import to_camel

from orderflow_analytics.errors import ContractError

Schema = Mapping[str, Any]
_SCALARS = {"integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_(), "string": pa.string()}
_TIMES = {"date-time": pa.timestamp("us", "UTC"), "date": pa.date32()}
_ITEM = re.compile(r"/(\*|[0-9]+)(?=/|$)")


def columns_of(schema: Schema, event: str, personal: Iterable[str] = ()) -> pa.Schema:
    """Return the columns of an object's schema, in its order, but for what is `personal`, JSON pointers into the data.

    Raise `ContractError` where a type has no column, and where a pointer points nowhere: it would hide nothing.
    """
    pointers = {_ITEM.sub("", pointer): pointer for pointer in personal}
    columns = _Columns(schema.get("$defs", {}), event, frozenset(pointers), set(), [])
    found = columns.root(schema)
    for missed in sorted(pointers.keys() - columns.places):
        raise ContractError(f"spec.events: personalData {pointers[missed]} of {event} is not in its contract")
    return pa.schema(found)


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
class _Columns:
    """A walk through one schema. `places` are those that it has seen, also below what is hidden; `within` are the
    definitions that it stands in."""

    definitions: Schema
    event: str
    personal: frozenset[str]
    places: set[str]
    within: list[str]

    def root(self, schema: Schema) -> list[pa.Field]:
        """Return the columns of the data as a whole, which refer to a definition where that has itself within it."""
        if "$ref" in schema:
            return list(self._type(schema, "", False) or [])
        return self.fields(schema, "", hidden=False)

    def fields(self, schema: Schema, place: str, *, hidden: bool) -> list[pa.Field]:
        """Return the columns of an object's properties."""
        found = {
            name: self._type(given, f"{place}/{to_camel(name)}", hidden)
            for name, given in schema.get("properties", {}).items()
        }
        if twins := len(found) - len({name.lower() for name in found}):
            why = f"{twins} of its fields differ from another only by upper and lower case; columns may not"
            raise ContractError(f"{self.event}{place}: {why}")
        return [pa.field(name, kind) for name, kind in found.items() if kind is not None]

    def _type(self, schema: Schema, place: str, hidden: bool) -> pa.DataType | None:
        """Return a type; None where all of it is hidden."""
        self.places.add(place)
        hidden = hidden or bool(schema.get("personal")) or place in self.personal
        if "$ref" in schema:
            return self._defined(schema["$ref"].rpartition("/")[2], place, hidden)
        if "anyOf" in schema:
            return self._type(self._only_choice(schema["anyOf"], place), place, hidden)
        if schema.get("type") == "array" and "items" in schema:
            items = self._type(schema["items"], place, hidden)
            return None if items is None else pa.list_(items)
        if schema.get("type") == "object" and schema.get("properties"):
            fields = self.fields(schema, place, hidden=hidden)
            return pa.struct(fields) if fields else None
        return None if hidden else self._scalar(schema, place)

    def _defined(self, name: str, place: str, hidden: bool) -> pa.DataType | None:
        if name in self.within:
            raise ContractError(f"{self.event}{place}: {name} has itself within it, which no columns can")
        self.within.append(name)
        found = self._type(self.definitions[name], place, hidden)
        self.within.pop()
        return found

    def _scalar(self, schema: Schema, place: str) -> pa.DataType:
        kind = schema.get("type", "no type")
        found = _TIMES.get(schema.get("format", "")) or _SCALARS.get(kind)
        if found is None:
            why = f"{kind} cannot be a column; give it a type, its items or its properties"
            raise ContractError(f"{self.event}{place}: {why}")
        return found

    def _only_choice(self, choices: list[Schema], place: str) -> Schema:
        present = [choice for choice in choices if choice.get("type") != "null"]
        if len(present) != 1:
            why = "a choice between types cannot be a column; only one type, or null, can"
            raise ContractError(f"{self.event}{place}: {why}")
        return present[0]
