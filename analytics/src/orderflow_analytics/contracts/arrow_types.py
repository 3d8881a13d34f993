"""Columns of a JSON Schema: each of its types as Arrow has it.

What is marked personal gets no column: the curated zone has nothing of people. Source: JSON Schema 2020-12.
"""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from orderflow_analytics.errors import ContractError

Schema = Mapping[str, Any]
_SCALARS = {"integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_(), "string": pa.string()}
_TIMES = {"date-time": pa.timestamp("us", "UTC"), "date": pa.date32()}


def columns_of(schema: Schema, event: str) -> pa.Schema:
    """Return the columns of an object's schema, in its order; raise `ContractError` where a type has none."""
    return pa.schema(_fields(schema, schema.get("$defs", {}), event))


def _fields(schema: Schema, definitions: Schema, place: str) -> list[pa.Field]:
    found = {
        name: _type(given, definitions, f"{place}/{name}")
        for name, given in schema.get("properties", {}).items()
        if not given.get("personal")
    }
    return [pa.field(name, kind) for name, kind in found.items() if kind is not None]


def _type(schema: Schema, definitions: Schema, place: str) -> pa.DataType | None:
    """Return a type; None where all of it is personal."""
    if "$ref" in schema:
        return _type(definitions[schema["$ref"].rpartition("/")[2]], definitions, place)
    if "anyOf" in schema:
        return _choice(schema["anyOf"], definitions, place)
    kind = schema.get("type")
    if schema.get("personal"):
        return None
    if kind == "array" and "items" in schema:
        items = _type(schema["items"], definitions, f"{place}[]")
        return None if items is None else pa.list_(items)
    if kind == "object" and schema.get("properties"):
        fields = _fields(schema, definitions, place)
        return pa.struct(fields) if fields else None
    found = _TIMES.get(schema.get("format", "")) or _SCALARS.get(kind or "")
    if found is None:
        raise ContractError(
            f"{place}: {kind or 'no type'} cannot be a column; give it a type, its items or its properties"
        )
    return found


def _choice(choices: list[Schema], definitions: Schema, place: str) -> pa.DataType | None:
    present = [choice for choice in choices if choice.get("type") != "null"]
    if len(present) != 1:
        raise ContractError(f"{place}: a choice between types cannot be a column; only one type, or null, can")
    return _type(present[0], definitions, place)
