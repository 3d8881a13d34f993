"""Whether all that one schema lets be written is read by another.

One question asked both ways: new readers and old events (backward), old readers and new events (forward). The answer
"yes" is safe: what is not understood counts as unread. A field that a schema does not name is taken as not written,
and by readers is passed over, as `Model` does; `additionalProperties` says otherwise. Source: JSON Schema 2020-12.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from orderflow_model.contracts.errors import ContractsError
from orderflow_model.contracts.schema import Schema, Steps, escaped, resolved, target

_ANNOTATIONS = frozenset(
    [
        "$anchor",
        "$comment",
        "$defs",
        "$id",
        "$schema",
        "contentEncoding",
        "contentMediaType",
        "default",
        "definitions",
        "deprecated",
        "description",
        "discriminator",
        "examples",
        "personal",
        "readOnly",
        "title",
        "writeOnly",
    ]
)
_JUDGED = frozenset(
    [
        "$ref",
        "additionalProperties",
        "allOf",
        "anyOf",
        "const",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "oneOf",
        "pattern",
        "prefixItems",
        "properties",
        "required",
        "type",
        "uniqueItems",
    ]
)
_TOGETHER = ("contains", "minContains", "maxContains")
_NEVER = ("unevaluatedProperties", "unevaluatedItems", "$dynamicRef")
_DEPTH = 100
_NOTHING: Schema = {"not": {}}
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null", list: "array"}


@dataclass(frozen=True)
class Unread:
    """What is not read: a JSON pointer, empty for the whole, and why."""

    place: str
    why: str


def unread(reader: Schema, writer: Schema) -> tuple[Unread, ...]:
    """Return what `reader` may refuse of what `writer` lets be written, each once; raise `ContractsError`."""
    try:
        return tuple(dict.fromkeys(_Comparison(reader, writer).values("", reader, writer, ())))
    except RecursionError:
        raise ContractsError("the schema is nested too deeply to be compared", "Give it fewer levels") from None


@dataclass(frozen=True)
class _Comparison:
    """A walk through two schemas at a time; `around` are the pairs of references that it is inside of."""

    reader: Schema
    writer: Schema
    steps: Steps = field(default_factory=Steps)

    def values(self, place: str, reader: Any, writer: Any, around: tuple[str, ...]) -> Iterator[Unread]:
        """Yield what of the writer's values the reader refuses."""
        reader, writer = _as_object(reader), _as_object(writer)
        if "$ref" in reader and "$ref" in writer:
            pair = json.dumps([reader, writer], sort_keys=True)
            if pair in around:
                return
            around = (*around, pair)
        parts = list(_parts(self.reader, reader, self.steps))
        for written in _alternatives(self.writer, writer, self.steps):
            for part in parts:
                yield from self._part(place, part, written, around)

    def _part(self, place: str, reader: Schema, written: Schema, around: tuple[str, ...]) -> Iterator[Unread]:
        self.steps.take()
        yield from self._choices(place, reader, written, around)
        yield from (Unread(place, why) for why in _own(reader, written))
        kind = written.get("type")
        if kind == "array" and "array" in _types(reader, kind):
            yield from self._items(place, reader, written, around)
        if kind == "object" and "object" in _types(reader, kind):
            yield from self._properties(place, reader, written, around)

    def _choices(self, place: str, reader: Schema, written: Schema, around: tuple[str, ...]) -> Iterator[Unread]:
        for keyword in ("anyOf", "oneOf"):
            choices = reader.get(keyword)
            if choices is None:
                continue
            tried = [list(self.values(place, choice, written, around)) for choice in choices]
            if keyword == "oneOf" and not _apart(self.reader, reader):
                yield Unread(place, "its choices may overlap, which cannot be judged")
            elif all(tried):
                kind = written.get("type", "any type")
                kinds = [resolved(self.reader, _as_object(choice)).get("type") for choice in choices]
                taken = " or ".join(sorted(map(str, kinds)))
                whole = [Unread(place, f"takes {taken}, and not all that is written as {kind}")]
                yield from tried[kinds.index(kind)] if kinds.count(kind) == 1 else whole

    def _items(self, place: str, reader: Schema, written: Schema, around: tuple[str, ...]) -> Iterator[Unread]:
        most = written.get("maxItems")
        beyond = max(len(reader.get("prefixItems", ())), len(written.get("prefixItems", ())))
        for index in range(beyond if most is None else min(beyond, most)):
            yield from self.values(f"{place}/{index}", _item(reader, index), _item(written, index), around)
        if most is None or most > beyond:
            yield from self.values(f"{place}/*", _item(reader, beyond), _item(written, beyond), around)

    def _properties(self, place: str, reader: Schema, written: Schema, around: tuple[str, ...]) -> Iterator[Unread]:
        known, given = reader.get("properties", {}), written.get("properties", {})
        needed = set(written.get("required", ()))
        others = [*written.get("patternProperties", {}).values()]
        if written.get("additionalProperties", False) is not False:
            others.append(written["additionalProperties"])
        given = {name: others[0] if len(others) == 1 else True for name in needed} | given
        for name in sorted(set(reader.get("required", ())) - needed):
            yield Unread(f"{place}/{escaped(name)}", "has to be there, and may be missing in what is written")
        for name, expected in known.items():
            for one in [given[name]] if name in given else others:
                yield from self.values(f"{place}/{escaped(name)}", expected, one, around)
        if "additionalProperties" in reader:
            rest = reader["additionalProperties"]
            for name in sorted(given.keys() - known.keys()):
                yield from self.values(f"{place}/{escaped(name)}", rest, given[name], around)
            for one in others:
                yield from self.values(f"{place}/*", rest, one, around)


def _as_object(schema: Any) -> Schema:
    if isinstance(schema, bool):
        return {} if schema else _NOTHING
    if not isinstance(schema, Mapping):
        raise ContractsError(f"{json.dumps(schema)} stands where a schema has to", "Put an object, true or false there")
    return schema


def _parts(root: Schema, schema: Schema, steps: Steps, depth: int = 0) -> Iterator[Schema]:
    """Yield the schemas that have to hold together: itself, what it refers to, and its `allOf`."""
    steps.take()
    if depth > _DEPTH:
        raise ContractsError("a $ref of the schema leads back to itself", "Give it a type")
    yield {keyword: value for keyword, value in schema.items() if keyword not in ("$ref", "allOf")}
    if "$ref" in schema:
        yield from _parts(root, target(root, schema["$ref"]), steps, depth + 1)
    for part in schema.get("allOf", ()):
        yield from _parts(root, _as_object(part), steps, depth + 1)


def _alternatives(root: Schema, schema: Schema, steps: Steps) -> Iterator[Schema]:
    """Yield what may be written as plain schemas, one type each where types are known."""
    whole = _merged(_parts(root, schema, steps))
    if "anyOf" in whole or "oneOf" in whole:
        keyword = "anyOf" if "anyOf" in whole else "oneOf"
        rest = {name: value for name, value in whole.items() if name != keyword}
        for choice in whole[keyword]:
            yield from _alternatives(root, {**rest, "allOf": [_as_object(choice)]}, steps)
    elif isinstance(whole.get("type"), list):
        yield from ({**whole, "type": kind} for kind in whole["type"])
    elif "type" not in whole and (values := _values(whole)) is not None:
        yield from ({**whole, "enum": [value], "type": _TYPES.get(type(value), "object")} for value in values)
    elif whole != _NOTHING:
        yield whole


def _merged(parts: Iterable[Schema]) -> dict[str, Any]:
    """Return one schema that all that fits the parts fits too; perhaps more does."""
    whole: dict[str, Any] = {}
    for part in parts:
        for keyword, value in part.items():
            if keyword == "properties":
                whole[keyword] = {**value, **whole.get(keyword, {})}
            elif keyword == "required":
                whole[keyword] = [*whole.get(keyword, ()), *value]
            else:
                whole.setdefault(keyword, value)
    return whole


def _own(reader: Schema, written: Schema) -> Iterator[str]:
    """Yield why a value itself may be refused, whatever is inside of it."""
    yield from _unjudged(reader, written)
    kind = written.get("type")
    takes = _types(reader, kind)
    if kind is None:
        if any(keyword in _JUDGED and keyword not in ("anyOf", "oneOf") for keyword in reader):
            yield "does not take any type, and any is written"
        return
    if kind not in takes:
        yield f"takes {' or '.join(sorted(takes))}, and {kind} is written"
        return
    yield from _values_refused(reader, written)
    if kind in ("integer", "number"):
        yield from _numbers(reader, written, whole=kind == "integer")
    elif kind == "string":
        yield from _lengths(reader, written, "Length", "characters")
        yield from _texts(reader, written)
    elif kind == "array":
        yield from _lengths(reader, written, "Items", "items")
        if reader.get("uniqueItems") and not written.get("uniqueItems") and written.get("maxItems", 2) > 1:
            yield "takes no item twice, and such are written"
    elif kind == "object":
        least = max(written.get("minProperties", 0), len(set(written.get("required", ()))))
        yield from _lengths(reader, {**written, "minProperties": least}, "Properties", "fields")


def _unjudged(reader: Schema, written: Schema) -> Iterator[str]:
    for keyword in reader.keys() - _JUDGED - _ANNOTATIONS:
        if keyword.startswith("x-"):
            continue
        names = _TOGETHER if keyword in _TOGETHER else (keyword,)
        same = all(reader.get(name) == written.get(name) for name in names)
        if keyword in _NEVER or not same or "$ref" in json.dumps(reader[keyword]):
            yield f"{keyword} of its schema cannot be judged"


def _types(reader: Schema, kind: str | None) -> set[str]:
    given = reader.get("type")
    if given is None:
        return {kind} if kind else set()
    kinds = {given} if isinstance(given, str) else set(given)
    return kinds | {"integer"} if "number" in kinds else kinds


def _values(schema: Schema) -> list[Any] | None:
    """Return the only values of a schema; None where it does not list them."""
    if "const" in schema:
        return [schema["const"]]
    if "enum" in schema:
        return list(schema["enum"])
    few: dict[str, list[Any]] = {"boolean": [False, True], "null": [None]}
    return few.get(schema.get("type", ""))


def _values_refused(reader: Schema, written: Schema) -> Iterator[str]:
    for keyword in ("const", "enum"):
        if keyword not in reader:
            continue
        taken = {json.dumps(value, sort_keys=True) for value in _values({keyword: reader[keyword]}) or ()}
        if (given := _values(written)) is None:
            yield f"takes only {', '.join(sorted(taken))}, and others are written"
        elif more := sorted({json.dumps(value, sort_keys=True) for value in given} - taken):
            yield f"does not take {', '.join(more)}, which is written"


def _numbers(reader: Schema, written: Schema, *, whole: bool) -> Iterator[str]:
    for side, sign, word in (("inimum", 1, "at least"), ("aximum", -1, "at most")):
        limit, given = _bound(reader, side, sign, whole=whole), _bound(written, side, sign, whole=whole)
        if limit is not None and (given is None or given < limit):
            yield f"takes {word} {float(sign * limit[0]):g}, and {'less' if sign > 0 else 'more'} is written"
    step, given_step = reader.get("multipleOf"), written.get("multipleOf")
    if step is not None and step != 1 and (given_step is None or _exact(given_step) % _exact(step)):
        yield f"takes multiples of {step}, and others are written"
    elif step == 1 and not whole and (given_step is None or _exact(given_step) % 1):
        yield "takes whole numbers, and others are written"


def _bound(schema: Schema, side: str, sign: int, *, whole: bool) -> tuple[Fraction, bool] | None:
    """Return the closest of a schema's bounds on one side, greater where closer; the flag says that it is left out."""
    found = []
    for keyword, out in ((f"m{side}", False), (f"exclusiveM{side}", True)):
        if keyword in schema:
            value = sign * _exact(schema[keyword])
            found.append((value + 1, False) if out and whole and value.denominator == 1 else (value, out))
    return max(found, default=None)


def _exact(number: float) -> Fraction:
    return Fraction(str(number))


def _lengths(reader: Schema, written: Schema, what: str, unit: str) -> Iterator[str]:
    least, most = reader.get(f"min{what}", 0), reader.get(f"max{what}")
    if written.get(f"min{what}", 0) < least:
        yield f"takes at least {least} {unit}, and fewer are written"
    if most is not None and written.get(f"max{what}", most + 1) > most:
        yield f"takes at most {most} {unit}, and more are written"


def _texts(reader: Schema, written: Schema) -> Iterator[str]:
    for keyword in ("pattern", "format"):
        if keyword in reader and reader[keyword] != written.get(keyword):
            yield f"takes only the {keyword} {reader[keyword]}, and others are written"


def _item(schema: Schema, index: int) -> Any:
    listed = schema.get("prefixItems", ())
    return listed[index] if index < len(listed) else schema.get("items", True)


def _apart(root: Schema, schema: Schema) -> bool:
    """Return whether no value can fit two of a schema's `oneOf`."""
    kinds = [resolved(root, _as_object(choice)).get("type") for choice in schema["oneOf"]]
    apart = len(set(map(str, kinds))) == len(kinds) and all(isinstance(kind, str) for kind in kinds)
    return "discriminator" in schema or (apart and not {"integer", "number"} <= set(kinds))
