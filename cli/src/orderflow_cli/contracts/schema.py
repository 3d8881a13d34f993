"""JSON Schema as contracts use it: references followed, fields listed, personal ones marked.

Source: JSON Schema 2020-12; JSON pointers by RFC 6901, where `*` or a number is any item of a list.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from orderflow_cli.contracts.errors import ContractsError

Schema = Mapping[str, Any]
PERSONAL = "x-personal-data"
"""Marks a field as personal data, in every document that is made of contracts."""
UNION = "union"
"""The kind of a field that may have several types, and so no column in the lake."""
_DEPTH = 100
_TIMES = {"date-time": "timestamp", "date": "date"}


@dataclass(frozen=True)
class Field:
    """A field of an event's data, and what stands below it; the items of a list stand below it under `*`.

    `place` is its JSON pointer, `kind` a logical type of ODCS (`string`, `integer`, `timestamp`, ...) or `union`;
    `column` is its place in the lake, None where all of it is personal or a type has none.
    """

    place: str
    kind: str
    required: bool
    personal: bool
    words: str
    below: tuple["Field", ...] = ()

    @property
    def name(self) -> str:
        """Its own name, without those above."""
        return unescaped(self.place.rpartition("/")[2])

    def walk(self) -> Iterator["Field"]:
        """Yield the fields below, each before what is below it."""
        for field in self.below:
            yield field
            yield from field.walk()


def field_of(schema: Schema) -> Field:
    """Return the data of an event as one field, whose fields are below it; raise `ContractsError`."""
    return _field(schema, schema, "", required=True, personal=False, around=())


def resolved(root: Schema, schema: Schema) -> dict[str, Any]:
    """Return a schema with its reference followed, what stands beside it on top; raise `ContractsError`."""
    found = dict(schema)
    for _ in range(_DEPTH):
        if "$ref" not in found:
            return found
        found = {**target(root, found.pop("$ref")), **found}
    raise ContractsError("a $ref of the schema leads back to itself", "Give it a type")


def target(root: Schema, reference: str) -> dict[str, Any]:
    """Return what a reference inside of a schema points to; raise `ContractsError` for any other."""
    found: Any = root
    for part in reference.split("/")[1:]:
        found = found.get(unescaped(part)) if isinstance(found, Mapping) else None
    if not reference.startswith("#") or not isinstance(found, Mapping):
        raise ContractsError(f"$ref {json.dumps(reference)} is not in the schema", "Put what it means under $defs")
    return dict(found)


def mark(schema: dict[str, Any], pointer: str) -> bool:
    """Mark a field as personal; return False where the pointer points to none. A shared part is copied first."""
    node: dict[str, Any] = schema
    for part in pointer.split("/")[1:]:
        holder = _holder(schema, node)
        key = unescaped(part)
        if key == "*" or key.isdigit():
            place, key = holder, "items"
        else:
            place = holder.get("properties", {})
        found = {} if place.get(key) is True else place.get(key)
        if not isinstance(found, Mapping):
            return False
        place[key] = node = deepcopy(dict(found))
    node[PERSONAL] = True
    return True


def unescaped(part: str) -> str:
    """Return a part of a JSON pointer as the name that it stands for."""
    return part.replace("~1", "/").replace("~0", "~")


def escaped(name: str) -> str:
    """Return a name as a part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def _holder(root: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Return the object or list that a node describes, made the node's own: null beside it does not hide it."""
    if "$ref" in node:
        whole = deepcopy(resolved(root, node))
        node.clear()
        node.update(whole)
    choices = _present(node.get("anyOf", ()))
    return _holder(root, choices[0]) if len(choices) == 1 and isinstance(choices[0], dict) else node


def _present(choices: Iterable[Any]) -> list[Any]:
    """Return the choices that are not null."""
    return [choice for choice in choices if not isinstance(choice, Mapping) or choice.get("type") != "null"]


def _field(root: Schema, schema: Any, place: str, *, required: bool, personal: bool, around: tuple[str, ...]) -> Field:
    if not isinstance(schema, Mapping):  # true or false: nothing is said of it
        return Field(place, UNION, required, personal, "")
    if (reference := schema.get("$ref")) in around:  # a form that holds itself: told once
        return Field(place, "object", required, personal or bool(schema.get(PERSONAL)), "")
    around = (*around, reference) if reference else around
    found = resolved(root, schema)
    personal = personal or bool(found.get(PERSONAL))
    present = _present(found.get("anyOf", found.get("oneOf", ())))
    words = found.get("description", "")
    if len(present) == 1:
        only = _field(root, present[0], place, required=required, personal=personal, around=around)
        return Field(place, only.kind, required, only.personal, words or only.words, only.below)
    personal = personal or PERSONAL in json.dumps(present)  # what may be personal is
    below = () if present else tuple(_below(root, found, place, personal=personal, around=around))
    return Field(place, UNION if present else _kind(found), required, personal, words, below)


def _below(root: Schema, found: Schema, place: str, *, personal: bool, around: tuple[str, ...]) -> Iterator[Field]:
    needed = found.get("required", ())
    for name, given in found.get("properties", {}).items():
        there = f"{place}/{escaped(name)}"
        yield _field(root, given, there, required=name in needed, personal=personal, around=around)
    if isinstance(found.get("items"), Mapping):
        yield _field(root, found["items"], f"{place}/*", required=True, personal=personal, around=around)


def _kind(schema: Schema) -> str:
    kinds = schema.get("type", ())
    present = [kind for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind != "null"]
    if len(present) != 1:
        return UNION
    return _TIMES.get(schema.get("format", ""), "string") if present[0] == "string" else present[0]
