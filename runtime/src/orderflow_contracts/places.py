"""Where the values of a model may be personal, by the marks in its JSON Schema (`event.PERSONAL`, `SUBJECT`).

The schema says the same of models, dataclasses, typed dictionaries, named tuples, unions and what pydantic may come to
know. Where a value may be of several types, what is personal in one is personal in all. Source: JSON Schema 2020-12.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel

from orderflow_contracts.event import PERSONAL, SUBJECT

Mark = Mapping[str, bool]
_Schema = dict[str, Any]
_Defined = tuple[_Schema, _Schema]
"""A part of a schema, and the definitions that it may refer to."""
_CHOICES = ("anyOf", "oneOf", "allOf")
_DATA = frozenset(("default", "examples", "const", "enum"))
"""What stands in these is no schema."""


class Place:
    """What is known of a value: its mark, SUBJECT or PERSONAL, and what of its parts, by name or number."""

    def __init__(self) -> None:
        self.mark: Mark | None = None
        self.named: dict[str, Place] = {}
        self.others: Place | None = None

    def below(self, part: str) -> "Place":
        """Return the place of a part; `NOWHERE` where nothing is said of it."""
        return self.named.get(part) or self.others or NOWHERE

    def of(self, value: Any) -> "Place":
        """Return the place of a value that stands here: a model knows itself best, unless all of it is marked."""
        return place_of(type(value)) if self.mark is None and isinstance(value, BaseModel) else self


NOWHERE = Place()


@cache
def place_of(kind: type[BaseModel]) -> Place:
    """Return the place of a model as a whole."""
    return _walked(kind)[0]


@cache
def is_marked(kind: type[BaseModel]) -> bool:
    """Return whether a model marks anything at all."""
    return any(True for root in _schemas(kind) for _ in _marks_in(root, ""))


@cache
def unreachable_marks(kind: type[BaseModel]) -> tuple[str, ...]:
    """Return where a model's schema has marks that no value is found by, such as on the keys of a dictionary."""
    seen = _walked(kind)[1]
    return tuple(sorted({where for root in _schemas(kind) for where, part in _marks_in(root, "") if part not in seen}))


@cache
def _schemas(kind: type[BaseModel]) -> tuple[_Schema, ...]:
    """Return the schemas of a model: as it is written, which has what is computed, and as it is read."""
    return kind.model_json_schema(mode="serialization"), kind.model_json_schema(mode="validation")


@cache
def _walked(kind: type[BaseModel]) -> tuple[Place, Collection[int]]:
    """Return the place of a model, and the identities of the parts of its schemas that it was made of."""
    walk = _Walk()
    return walk.place([(root, root.get("$defs", {})) for root in _schemas(kind)]), walk.seen


class _Walk:
    """A walk through schemas, several at a time where a value may be of several; `seen` are the parts it came by."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self._places: dict[frozenset[int], Place] = {}

    def place(self, given: Iterable[_Defined]) -> Place:
        """Return the place of a value that fits any of these schemas, which may have themselves within them."""
        choices: dict[int, _Defined] = {}
        for schema, definitions in given:
            _add(schema, definitions, choices)
        if (known := self._places.get(frozenset(choices))) is not None:
            return known
        place = self._places[frozenset(choices)] = Place()
        self.seen |= choices.keys()
        marks = [_mark_of(schema) for schema, _ in choices.values()]
        place.mark = next((mark for mark in (SUBJECT, PERSONAL) if mark in marks), None)
        self._fill(place, list(choices.values()))
        return place

    def _fill(self, place: Place, choices: Sequence[_Defined]) -> None:
        """Give a place those of its parts."""
        named, others = [_named(schema) for schema, _ in choices], [_others(schema) for schema, _ in choices]
        for part in dict.fromkeys(part for parts in named for part in parts):
            below = [([parts[part]] if part in parts else rest) for parts, rest in zip(named, others, strict=True)]
            place.named[part] = self.place(_with_definitions(below, choices))
        if any(others):
            place.others = self.place(_with_definitions(others, choices))


def _with_definitions(below: Iterable[Iterable[Any]], choices: Iterable[_Defined]) -> Iterator[_Defined]:
    for schemas, (_, definitions) in zip(below, choices, strict=True):
        yield from ((schema, definitions) for schema in schemas)


def _add(schema: Any, definitions: _Schema, choices: dict[int, _Defined]) -> None:
    """Add a schema and all that it refers to or chooses from."""
    if not isinstance(schema, dict) or id(schema) in choices:
        return
    choices[id(schema)] = (schema, definitions)
    if "$ref" in schema:
        _add(definitions.get(schema["$ref"].rpartition("/")[2]), definitions, choices)
    for choice in (one for word in _CHOICES for one in schema.get(word, ())):
        _add(choice, definitions, choices)


def _named(schema: _Schema) -> dict[str, Any]:
    """Return the schemas of parts that have a name, or a number of their own."""
    return {**schema.get("properties", {}), **{str(at): one for at, one in enumerate(schema.get("prefixItems", ()))}}


def _others(schema: _Schema) -> list[Any]:
    """Return the schemas of all other parts."""
    found = [schema.get("additionalProperties"), schema.get("items"), *schema.get("patternProperties", {}).values()]
    return [one for one in found if isinstance(one, dict)]


def _mark_of(schema: _Schema) -> Mark | None:
    return next((mark for mark in (SUBJECT, PERSONAL) if mark.items() <= schema.items()), None)


def _marks_in(schema: Any, where: str) -> Iterator[tuple[str, int]]:
    """Yield where a schema has marks, with the identity of the part that has it."""
    if isinstance(schema, dict):
        if _mark_of(schema) is not None:
            yield where or "/", id(schema)
        for name, below in schema.items():
            if name not in _DATA:
                yield from _marks_in(below, f"{where}/{name}")
    elif isinstance(schema, list):
        for number, below in enumerate(schema):
            yield from _marks_in(below, f"{where}/{number}")
