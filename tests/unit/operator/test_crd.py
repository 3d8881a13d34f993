"""The CRD in manifests/ is what the models say, in the form the API server takes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orderflow_model.crd import FILES, as_yaml, custom_resource_definition

VERSION = custom_resource_definition()["spec"]["versions"][0]
ROOT = VERSION["schema"]["openAPIV3Schema"]


def walk(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema below a node, with its path."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from walk(node[key], f"{path}[]")


NODES = {path: node for part in ("spec", "status") for path, node in walk(ROOT["properties"][part], part)}


def test_the_file_is_what_the_models_say() -> None:
    """Whoever changes the model regenerates the manifest in the same commit."""
    for file in FILES:
        assert (Path(__file__).parents[3] / file).read_text() == as_yaml(), file


def test_schema_is_structural() -> None:
    """Every place has one type, and nothing is referred to or chosen between."""
    assert {path for path, node in NODES.items() if "type" not in node} == set()
    refused = {"$ref", "anyOf", "oneOf", "title", "propertyNames", "patternProperties", "const", "nullable"}
    assert {key for node in NODES.values() for key in node} & refused == set()


def test_every_field_is_described_and_bounded() -> None:
    """kubectl explain speaks of each field, and CEL's cost has an upper bound."""
    assert [path for path, node in NODES.items() if not node.get("description") and path[-1] != "]"] == []
    bounds = {"string": {"maxLength", "enum"}, "array": {"maxItems"}, "integer": {"maximum"}}
    loose = [p for p, node in NODES.items() if node["type"] in bounds and not bounds[node["type"]] & node.keys()]
    assert loose == []


def test_rules_of_a_field_and_of_its_type_both_stand() -> None:
    """What holds for the scalar and what holds for this use of it are both kept."""
    rules = {path: [rule["rule"] for rule in node.get("x-kubernetes-validations", [])] for path, node in NODES.items()}
    assert len(rules["spec.kafka"]) == 5
    assert len(rules["spec.services[].name"]) == 1
    assert sum("oldSelf" in rule for rule in rules["spec.events[]"]) == 2
    assert all("metadata.name" in rule["rule"] for rule in ROOT["x-kubernetes-validations"])


def test_what_rules_read_without_has_has_a_default() -> None:
    """A rule may read the provisioner outright, because the API server fills it in."""
    assert NODES["spec.kafka.provisioner"]["default"] == "Strimzi"


def test_nothing_below_a_list_has_a_default() -> None:
    """What the API server fills into a list differs from the file each time that kubectl compares the two."""
    assert [path for path, node in NODES.items() if "[]" in path and "default" in node] == []
    assert NODES["spec.services[].httpPort"]["description"].endswith("; 8080 when left out.")


def test_people_see_the_flow_at_a_glance() -> None:
    """kubectl get of prints readiness, reason, services, topics and age."""
    assert [column["name"] for column in VERSION["additionalPrinterColumns"]] == [
        "Ready",
        "Reason",
        "Services",
        "Topics",
        "Age",
    ]
    assert NODES["status.conditions"]["x-kubernetes-list-map-keys"] == ["type"]
