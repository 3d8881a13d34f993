"""Which changes of a schema are compatible, in which direction; and that "compatible" is never said wrongly."""

import json
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from orderflow_model.contracts.compatibility import unread
from orderflow_model.contracts.errors import ContractsError

TEXT: dict[str, Any] = {"type": "string"}
WHOLE: dict[str, Any] = {"type": "integer"}
NUMBER: dict[str, Any] = {"type": "number"}
NULL: dict[str, Any] = {"type": "null"}


def record(*required: str, **fields: Any) -> dict[str, Any]:
    """The schema of an object."""
    return {"type": "object", "properties": fields, "required": list(required)}


def items(of: Any, **more: Any) -> dict[str, Any]:
    """The schema of a list."""
    return {"type": "array", "items": of, **more}


def either(*choices: Any) -> dict[str, Any]:
    """The schema of a union."""
    return {"anyOf": list(choices)}


PART = {"$defs": {"Part": record("b", b=WHOLE)}, **record("a", a={"$ref": "#/$defs/Part"})}
PART_WIDER = {"$defs": {"Part": record("b", b=NUMBER)}, **record("a", a={"$ref": "#/$defs/Part"})}
TREE = {"$defs": {"Tree": record("v", v=WHOLE, below=items({"$ref": "#/$defs/Tree"}))}, "$ref": "#/$defs/Tree"}
TREE_WIDER = {"$defs": {"Tree": record("v", v=NUMBER, below=items({"$ref": "#/$defs/Tree"}))}, "$ref": "#/$defs/Tree"}

# kind of change: before, after, today's readers take older events, readers of before take today's
CHANGES: dict[str, tuple[Any, Any, bool, bool]] = {
    "nothing": (record("a", a=TEXT), record("a", a=TEXT), True, True),
    "an optional field is added": (record("a", a=TEXT), record("a", a=TEXT, b=WHOLE), True, True),
    "a required field is added": (record("a", a=TEXT), record("a", "b", a=TEXT, b=WHOLE), False, True),
    "an optional field is removed": (record("a", a=TEXT, b=WHOLE), record("a", a=TEXT), True, True),
    "a required field is removed": (record("a", "b", a=TEXT, b=WHOLE), record("a", a=TEXT), True, False),
    "a required field is renamed": (record("a", a=TEXT), record("b", b=TEXT), False, False),
    "an optional field is renamed": (record(a=TEXT), record(b=TEXT), True, True),
    "a field becomes required": (record(a=TEXT), record("a", a=TEXT), False, True),
    "a field becomes optional": (record("a", a=TEXT), record(a=TEXT), True, False),
    "a type is widened": (WHOLE, NUMBER, True, False),
    "a type is narrowed": (NUMBER, WHOLE, False, True),
    "a type is another": (TEXT, WHOLE, False, False),
    "a list of types grows": (TEXT, {"type": ["string", "integer"]}, True, False),
    "any type becomes one": ({}, TEXT, False, True),
    "a value is added to an enum": (TEXT | {"enum": ["A"]}, TEXT | {"enum": ["A", "B"]}, True, False),
    "a value is removed from an enum": (TEXT | {"enum": ["A", "B"]}, TEXT | {"enum": ["A"]}, False, True),
    "an enum without a type grows": ({"enum": ["A"]}, {"enum": ["A", 1]}, True, False),
    "an enum becomes free text": (TEXT | {"enum": ["A"]}, TEXT, True, False),
    "true is no 1": ({"enum": [True]}, {"enum": [1]}, False, False),
    "a constant changes": ({"const": "A"}, {"const": "B"}, False, False),
    "a constant becomes one of several": ({"const": "A"}, {"enum": ["A", "B"]}, True, False),
    "an upper bound is raised": (WHOLE | {"maximum": 5}, WHOLE | {"maximum": 9}, True, False),
    "a lower bound appears": (WHOLE, WHOLE | {"minimum": 0}, False, True),
    "a bound is written otherwise": (WHOLE | {"exclusiveMinimum": 0}, WHOLE | {"minimum": 1}, True, True),
    "a bound of numbers leaves itself out": (NUMBER | {"minimum": 0}, NUMBER | {"exclusiveMinimum": 0}, False, True),
    "a step is made finer": (WHOLE | {"multipleOf": 10}, WHOLE | {"multipleOf": 5}, True, False),
    "a text may be longer": (TEXT | {"maxLength": 5}, TEXT | {"maxLength": 9}, True, False),
    "a text has to be longer": (TEXT, TEXT | {"minLength": 1}, False, True),
    "a pattern changes": (TEXT | {"pattern": "^a$"}, TEXT | {"pattern": "^b$"}, False, False),
    "a pattern goes": (TEXT | {"pattern": "^a$"}, TEXT, True, False),
    "a text becomes a time": (TEXT, TEXT | {"format": "date-time"}, False, True),
    "a field may be null": (record("a", a=TEXT), record("a", a=either(TEXT, NULL)), True, False),
    "a field may not be null any more": (record("a", a=either(TEXT, NULL)), record("a", a=TEXT), False, True),
    "a nested field is added": (record(a=record(b=TEXT)), record(a=record("c", b=TEXT, c=TEXT)), False, True),
    "a shared part is widened": (PART, PART_WIDER, True, False),
    "a form that holds itself is the same": (TREE, TREE, True, True),
    "a form that holds itself is widened": (TREE, TREE_WIDER, True, False),
    "a list's items are widened": (items(WHOLE), items(NUMBER), True, False),
    "a list may be empty": (items(WHOLE, minItems=1), items(WHOLE), True, False),
    "a list may be longer": (items(WHOLE, maxItems=1), items(WHOLE, maxItems=9), True, False),
    "a list may have an item twice": (items(WHOLE, uniqueItems=True), items(WHOLE), True, False),
    "a tuple's second is widened": (
        {"type": "array", "prefixItems": [TEXT, WHOLE], "minItems": 2, "maxItems": 2},
        {"type": "array", "prefixItems": [TEXT, NUMBER], "minItems": 2, "maxItems": 2},
        True,
        False,
    ),
    "a union gets a type": (either(TEXT, WHOLE), either(TEXT, WHOLE, NULL), True, False),
    "a union loses a type": (either(TEXT, WHOLE), TEXT, False, True),
    "a union is in another order": (either(TEXT, WHOLE), either(WHOLE, TEXT), True, True),
    "a union of distinct types is exclusive": (either(TEXT, WHOLE), {"oneOf": [TEXT, WHOLE]}, True, True),
    "a union of overlapping types is exclusive": (either(NUMBER, WHOLE), {"oneOf": [NUMBER, WHOLE]}, False, True),
    "a map's values are widened": (
        {"type": "object", "additionalProperties": WHOLE},
        {"type": "object", "additionalProperties": NUMBER},
        True,
        False,
    ),
    "a map's key becomes a field": (
        {"type": "object", "additionalProperties": TEXT},
        {"type": "object", "additionalProperties": TEXT, "properties": {"a": WHOLE}},
        False,
        False,
    ),
    "other fields are refused": (
        record(a=TEXT, b=TEXT),
        record(a=TEXT) | {"additionalProperties": False},
        False,
        True,
    ),
    "a required field that had no schema gets one": (record("a"), record("a", a=TEXT), False, True),
    "words change": (TEXT | {"description": "a"}, TEXT | {"title": "b", "x-own": 1, "default": "c"}, True, True),
    "what is not understood appears": (record(a=TEXT), record(a=TEXT) | {"not": {"required": ["b"]}}, False, True),
    "all of it has to hold": (TEXT, {"allOf": [TEXT, {"minLength": 3}]}, False, True),
}


@pytest.mark.parametrize(("before", "after", "backward", "forward"), CHANGES.values(), ids=CHANGES.keys())
def test_each_kind_of_change_has_its_verdict(before: Any, after: Any, backward: bool, forward: bool) -> None:
    """Backward asks whether today's schema takes all of yesterday's; forward the other way round."""
    assert (not unread(after, before), not unread(before, after)) == (backward, forward)


def test_a_verdict_names_the_field_and_why() -> None:
    """The place is a pointer into the data; items of a list stand under `*`, what a name has of `/` is escaped."""
    before = record("a/b", **{"a/b": items(record("c", c=NUMBER))})
    after = record("a/b", **{"a/b": items(record("c", "d", c=WHOLE, d=TEXT))})
    assert {one.place: one.why for one in unread(after, before)} == {
        "/a~1b/*/c": "takes integer, and number is written",
        "/a~1b/*/d": "has to be there, and may be missing in what is written",
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/Gone"},
        {"$ref": "https://example.org/schema.json"},
        {"$defs": {"A": {"$ref": "#/$defs/A"}}, "$ref": "#/$defs/A"},
        {"$defs": {"A": either({"$ref": "#/$defs/A"}, NULL)}, "$ref": "#/$defs/A"},
    ],
    ids=["nowhere", "elsewhere", "itself", "itself in a union"],
)
@pytest.mark.parametrize("as_reader", [True, False])
def test_a_reference_that_cannot_be_followed_is_refused(schema: Any, as_reader: bool) -> None:
    """It ends in words, never in an endless walk or a traceback."""
    with pytest.raises(ContractsError):
        unread(*((schema, record(a=TEXT)) if as_reader else (record(a=TEXT), schema)))


NAMES = st.sampled_from(["a", "b", "c"])
SMALL = st.integers(0, 4)
LARGE = st.integers(5, 15)
STEPS = st.sampled_from([1, 2, 4])
VALUES: list[Any] = ["A", "BB", 1, 2.5, True, None]


@st.composite
def scalars(
    draw: st.DrawFn, kinds: tuple[str, ...] = ("integer", "number", "string", "boolean", "null", "enum")
) -> Any:
    """Schemas of single values, with all that bounds them."""
    kind = draw(st.sampled_from(kinds))
    if kind == "enum":
        return {"enum": draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=3, unique_by=json.dumps))}
    optional = {
        "integer": {"minimum": SMALL, "exclusiveMinimum": SMALL, "maximum": LARGE, "multipleOf": STEPS},
        "number": {"minimum": SMALL, "exclusiveMinimum": SMALL, "exclusiveMaximum": LARGE, "multipleOf": STEPS},
        "string": {"minLength": SMALL, "maxLength": SMALL, "pattern": st.sampled_from(["^a*$", "B"])},
    }
    bounds = st.fixed_dictionaries({}, optional=optional[kind]) if kind in optional else st.just({})
    return {"type": kind} | draw(bounds)


SCALARS: list[Any] = [None, True, False, *range(-1, 17), 0.5, 1.5, 2.5, 12.5, "A", "BB"]
SCALARS += [a * length for a in "aB" for length in range(6)]


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_single_value_that_is_called_read_is_read(data: st.DataObject) -> None:
    """For pairs of schemas of one kind, no value of a list of many proves the verdict wrong."""
    kinds = data.draw(st.sampled_from([("integer", "number"), ("string",), ("enum", "string"), ("enum", "boolean")]))
    writer, reader = data.draw(scalars(kinds)), data.draw(scalars(kinds))
    if not unread(reader, writer):
        written_ones = [value for value in SCALARS if Draft202012Validator(writer).is_valid(value)]
        assert [value for value in written_ones if not Draft202012Validator(reader).is_valid(value)] == []


PIECES: list[Any] = [TEXT, WHOLE, NUMBER, NULL, either(TEXT, NULL), either(WHOLE, TEXT), {"oneOf": [NUMBER, TEXT]}]
PIECES += [items(WHOLE), items(NUMBER, minItems=1), {"type": "array", "prefixItems": [WHOLE]}, {"enum": ["A", 1]}]
ABSENT = object()
CONTENTS: list[Any] = [ABSENT, None, 1, 2.5, "A", "B", [], [1], [2.5, "A"]]


@st.composite
def records(draw: st.DrawFn, like: Any = None) -> Any:
    """Schemas of objects with up to two fields; most of each is as in another, where one is given."""
    pieces, fields = st.sampled_from(PIECES), {} if like is None else like["properties"]
    kept = {name: fields.get(name, draw(pieces)) for name in ("a", "b") if draw(st.integers(0, 3))}
    found = {name: draw(pieces) if draw(st.integers(0, 3)) == 0 else piece for name, piece in kept.items()}
    needed = draw(st.lists(st.sampled_from("ab"), max_size=1)) + (like or {"required": []})["required"]
    more = draw(st.sampled_from([{}, {}, {"additionalProperties": False}])) if draw(st.booleans()) else {}
    return {"type": "object", "properties": found, "required": needed[: draw(st.integers(0, 2))]} | more


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_an_object_that_is_called_read_is_read(data: st.DataObject) -> None:
    """For pairs of schemas of objects, none of all objects with two fields proves the verdict wrong."""
    writer = data.draw(records())
    reader = data.draw(records(writer))
    if unread(reader, writer):
        return
    judges = Draft202012Validator(writer), Draft202012Validator(reader)
    named = {*writer["properties"], *writer["required"]}
    for pair in product(CONTENTS, CONTENTS):
        value = {name: found for name, found in zip("ab", pair, strict=True) if found is not ABSENT}
        if value.keys() <= named and judges[0].is_valid(value):
            assert judges[1].is_valid(value), (writer, reader, value)


def schemas() -> st.SearchStrategy[dict[str, Any]]:
    """Schemas of single values, lists, tuples, objects, maps and unions of them, with a shared part by reference."""
    return st.recursive(scalars() | st.just({"$ref": "#/$defs/Part"}), _around, max_leaves=4)


def _around(below: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    fields = st.dictionaries(NAMES, below, max_size=3)
    needed = st.lists(NAMES, max_size=2, unique=True)
    records = st.builds(lambda has, must: {"type": "object", "properties": has, "required": must}, fields, needed)
    maps = st.builds(lambda one: {"type": "object", "additionalProperties": one}, below)
    closed = st.builds(lambda one: one | {"additionalProperties": False}, records)
    lists = st.builds(lambda one, low: {"type": "array", "items": one, "minItems": low % 2}, below, SMALL)
    short = st.builds(lambda one, high: one | {"maxItems": high + 1}, lists, SMALL)
    tuples = st.builds(lambda *two: {"type": "array", "prefixItems": two, "maxItems": 3}, below, below)
    choices = st.lists(below, min_size=1, max_size=3)
    unions = st.builds(lambda word, of: {word: of}, st.sampled_from(["anyOf", "oneOf"]), choices)
    return records | maps | closed | lists | short | tuples | unions | st.builds(lambda *a: {"allOf": a}, below, below)


def whole(part: Any, schema: Any) -> dict[str, Any]:
    """A schema with its shared part."""
    return {"$defs": {"Part": part}, "allOf": [schema]}


@st.composite
def changed(draw: st.DrawFn, schema: Any) -> Any:
    """The schema with one of its parts edited, somewhere inside."""
    if isinstance(schema, (list, tuple)):
        at = draw(st.integers(0, max(0, len(schema) - 1)))
        return [draw(changed(one)) if index == at else one for index, one in enumerate(schema)]
    below = [word for word in ("properties", "items", "anyOf", "oneOf", "prefixItems", "allOf") if schema.get(word)]
    if below and draw(st.booleans()):
        word = draw(st.sampled_from(below))
        if word != "properties":
            return schema | {word: draw(changed(schema[word]))}
        name = draw(st.sampled_from(sorted(schema[word])))
        return schema | {word: schema[word] | {name: draw(changed(schema[word][name]))}}
    gone = draw(st.sampled_from(sorted(schema)))
    if draw(st.booleans()):
        return {word: value for word, value in schema.items() if word != gone}
    if "properties" in schema:
        return schema | {"properties": schema["properties"] | {draw(NAMES): draw(scalars())}}
    return draw(st.sampled_from([{"anyOf": [schema, NULL]}, {"type": "array", "items": schema}, WHOLE, schema]))


@st.composite
def written(draw: st.DrawFn, root: Any, schema: Any) -> Any:
    """A value such as a writer of this schema could write: no field that it does not name."""
    if "$ref" in schema:
        return draw(written(root, root["$defs"]["Part"]))
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return draw(written(root, draw(st.sampled_from(list(schema[word])))))
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    kind = schema.get("type", draw(st.sampled_from(["string", "integer", "object", "array"])))
    if kind == "array":
        listed = [draw(written(root, one)) for one in schema.get("prefixItems", ())]
        rest = st.lists(written(root, schema.get("items", {"enum": VALUES})), max_size=3)
        return [*listed[: draw(st.integers(0, 3))], *draw(rest)]
    if kind == "object":
        return draw(_object(root, schema))
    plain = {
        "string": st.text("aB", max_size=8),
        "integer": st.integers(-2, 16),
        "number": st.integers(-2, 16) | st.sampled_from([0.5, 2.5, 13.5]),
        "boolean": st.booleans(),
        "null": st.none(),
    }
    return draw(plain[kind])


@st.composite
def _object(draw: st.DrawFn, root: Any, schema: Any) -> Any:
    fields = {
        name: draw(written(root, one)) for name, one in schema.get("properties", {}).items() if draw(st.booleans())
    }
    if isinstance(more := schema.get("additionalProperties"), dict):
        fields |= {name: draw(written(root, more)) for name in draw(st.lists(NAMES, max_size=3)) if name not in fields}
    for name in schema.get("required", ()):
        unnamed = {"enum": VALUES}
        fields.setdefault(name, draw(written(root, schema.get("properties", {}).get(name, unnamed))))
    return fields


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_what_is_called_compatible_is_read(data: st.DataObject) -> None:
    """For pairs of schemas where nothing is unread, each value that the writer may write fits the reader's schema."""
    old = data.draw(schemas())
    writer, reader = whole(WHOLE, old), whole(WHOLE, data.draw(changed(old)))
    if unread(reader, writer):
        return
    for _ in range(3):
        value = data.draw(written(writer, old))
        if Draft202012Validator(writer).is_valid(value):
            assert Draft202012Validator(reader).is_valid(value), (writer, reader, value)
