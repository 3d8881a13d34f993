"""JSON Schema as contracts use it: references followed, fields listed, personal ones marked.

Source: JSON Schema 2020-12; JSON pointers by RFC 6901, where `*` or a number is any item of a list.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from orderflow_model.contracts.errors import ContractsError

Schema = Mapping[str, Any]
PERSONAL = "x-personal-data"
"""Marks a field as personal data, in every document that is made of contracts."""
SUBJECT = "x-data-subject"
"""Marks the id of the person whom personal data are about."""
EVENT, FLOW, VERSION, READS = "x-event", "x-flow", "x-version", "x-reads"
"""What a schema says of itself: whose it is, the version of its data, and the versions that its readers take."""
UNION = "union"
"""The kind of a field that may have several types; its column in the lake has JSON text."""
_DEPTH = 100
_MOST_STEPS = 50_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_TIMES = {"date-time": "timestamp", "date": "date"}


@dataclass(frozen=True)
class Field:
    """A field of an event's data, and what stands below it; the items of a list stand below it under `*`.

    `place` is its JSON pointer, `kind` a logical type of ODCS (`string`, `integer`, `timestamp`, ...) or `union`.
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


class Steps:
    """How far schemas are walked: a few references that lead to each other can mean millions of fields."""

    def __init__(self) -> None:
        self._left = _MOST_STEPS

    def take(self) -> None:
        """Count a step; raise `ContractsError` when there were too many."""
        self._left -= 1
        if self._left < 0:
            raise ContractsError("the schema is too large once its references are followed", "Describe less of it")


def field_of(schema: Schema) -> Field:
    """Return the data of an event as one field, whose fields are below it; raise `ContractsError`."""
    try:
        return _Fields(schema).field(schema, "", required=True, personal=False, around=())
    except RecursionError:
        raise ContractsError("the schema is nested too deeply", "Give it fewer levels") from None


def checked(schema: Any, where: str) -> Schema:
    """Return a JSON Schema that came from elsewhere; raise `ContractsError` with the place where it is none."""
    # not above: it costs each program a sixth of a second, and few read a schema
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        place = _CONTROL.sub("?", error.json_path)
        raise ContractsError(f"{where} is no JSON Schema: {place}: {error.message[:200]}", "Mend it there") from None
    except RecursionError:
        raise ContractsError(f"{where} is nested too deeply", "Give it fewer levels") from None
    if not isinstance(schema, Mapping):
        raise ContractsError(f"{where} is no JSON Schema of an object", "Describe the event's data")
    return schema


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
    try:
        return _mark(schema, pointer)
    except RecursionError:
        raise ContractsError("the schema leads back to itself", "Give it a type") from None


def _mark(schema: dict[str, Any], pointer: str) -> bool:
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


def marked_definitions(mark: str, definitions: Mapping[str, Any]) -> frozenset[str]:
    """Return the definitions of a schema in which a mark is set, or that refer to one in which it is."""
    found: frozenset[str] = frozenset()
    while more := {name for name in definitions.keys() - found if has_mark(mark, definitions[name], found)}:
        found |= more
    return found


def has_mark(mark: str, part: Any, marked: Collection[str]) -> bool:
    """Return whether a mark is set anywhere in a part of a schema, or it refers to a definition that is `marked`."""
    left = [part]
    while left:
        node = left.pop()
        if isinstance(node, Mapping):
            if node.get(mark) is True or str(node.get("$ref", "")).rpartition("/")[2] in marked:
                return True
            left.extend(node.values())
        elif isinstance(node, list):
            left.extend(node)
    return False


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


class _Fields:
    """A walk through one schema."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._steps = Steps()
        self._marked = marked_definitions(PERSONAL, root.get("$defs", {}))

    def field(self, schema: Any, place: str, *, required: bool, personal: bool, around: tuple[str, ...]) -> Field:
        """Return what a part of the schema describes; `around` are the references that it is inside of."""
        self._steps.take()
        if not isinstance(schema, Mapping):  # true or false: nothing is said of it
            return Field(place, UNION, required, personal, "")
        if (reference := schema.get("$ref")) in around:  # a form that holds itself: told once
            return Field(place, "object", required, personal or self._may_be_personal(schema), "")
        around = (*around, reference) if reference else around
        found = resolved(self._root, schema)
        personal = personal or bool(found.get(PERSONAL))
        present = _present(found.get("anyOf", found.get("oneOf", ())))
        words = found.get("description", "")
        if len(present) == 1:
            only = self.field(present[0], place, required=required, personal=personal, around=around)
            return Field(place, only.kind, required, only.personal, words or only.words, only.below)
        below = () if present else tuple(self._below(found, place, personal=personal, around=around))
        personal = personal or (not below and self._may_be_personal(found))
        return Field(place, UNION if present else _kind(found), required, personal, words, below)

    def _may_be_personal(self, part: Schema) -> bool:
        return has_mark(PERSONAL, part, self._marked)

    def _below(self, found: Schema, place: str, *, personal: bool, around: tuple[str, ...]) -> Iterator[Field]:
        needed = found.get("required", ())
        for name, given in found.get("properties", {}).items():
            there = f"{place}/{escaped(name)}"
            yield self.field(given, there, required=name in needed, personal=personal, around=around)
        if isinstance(found.get("items"), Mapping):
            yield self.field(found["items"], f"{place}/*", required=True, personal=personal, around=around)


def _kind(schema: Schema) -> str:
    kinds = schema.get("type", ())
    present = [kind for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind != "null"]
    if len(present) != 1:
        return UNION
    return _TIMES.get(schema.get("format", ""), "string") if present[0] == "string" else present[0]
