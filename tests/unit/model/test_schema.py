"""The model as JSON Schema is what a CRD needs: described, bounded, with rules and list-maps beside it."""

from collections.abc import Iterator
from typing import Any

from orderflow_model.flow import Spec

SCHEMA = Spec.model_json_schema()


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """A property without references and without null, its own words before those of what it refers to."""
    own = {key: value for key, value in node.items() if key not in ("$ref", "anyOf")}
    inner = [choice for choice in node.get("anyOf", []) if choice.get("type") != "null"]
    if "$ref" in node:
        inner.append(SCHEMA["$defs"][node["$ref"].rpartition("/")[2]])
    return resolved(inner[0]) | own if inner else own


def walk(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property below a node, and every member of its lists and maps."""
    node = resolved(node)
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    if "items" in node:
        yield from walk(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from walk(node["additionalProperties"], f"{path}[]")


NODES = dict(walk(SCHEMA, "spec"))


def test_every_field_has_a_description() -> None:
    """kubectl explain has something to say about each field."""
    assert [path for path, node in NODES.items() if not node.get("description") and path[-1] != "]"] == []


def test_every_string_list_and_number_is_bounded() -> None:
    """No value of the spec can grow without end, and no type is a float."""
    bounds = {"string": {"maxLength", "enum"}, "array": {"maxItems"}, "integer": {"maximum"}}
    unbounded = [
        path for path, node in NODES.items() if node["type"] in bounds and not bounds[node["type"]] & node.keys()
    ]
    assert unbounded == []
    assert {node["type"] for node in NODES.values()} <= {"string", "array", "integer", "boolean", "object"}


def test_every_object_refuses_unknown_fields_or_is_a_bounded_map() -> None:
    """An object is closed, a bounded map, or the one schema that is kept as it is."""
    loose = [
        path
        for path, node in NODES.items()
        if node["type"] == "object" and node.get("additionalProperties") is not False
    ]
    maps = {"config", "labels", "annotations", "nodeSelector", "matchLabels", "volumeAttributes"}
    assert {path.rpartition(".")[2] for path in loose} == {"schema"} | maps
    assert {path for path in loose if "maxProperties" not in NODES[path]} == {"spec.events[].schema"}


def test_named_lists_are_list_maps_and_the_others_sets() -> None:
    """Server-side apply can merge each list of names; the command is one whole, and what Kubernetes has as such."""
    kinds = {path: node.get("x-kubernetes-list-type") for path, node in NODES.items() if node["type"] == "array"}
    wholes = {path for path, kind in kinds.items() if kind is None}
    assert {path for path in wholes if ".pod." not in path} == {"spec.services[].command"}
    for name, key in (("volumes", "name"), ("volumeMounts", "mountPath"), ("imagePullSecrets", "name")):
        assert NODES[f"spec.defaults.pod.{name}"]["x-kubernetes-list-map-keys"] == [key]
    assert NODES["spec.saga.compensations"]["x-kubernetes-list-map-keys"] == ["undo"]


def test_rules_stand_beside_what_they_judge() -> None:
    """Rules of parts, of scalars and between old and new are all there for the CRD's generator."""
    rules = {
        path: [rule["rule"] for rule in node["x-kubernetes-validations"]]
        for path, node in NODES.items()
        if "x-kubernetes-validations" in node
    }
    assert any("oldSelf" in rule for rule in rules["spec.kafka"])
    assert any("oldSelf" in rule for rule in rules["spec.events[]"])
    assert rules["spec.saga.deadline"] == ["duration(self) >= duration('1s') && duration(self) <= duration('720h')"]
    assert len(rules["spec.services[].scale"]) == 1
