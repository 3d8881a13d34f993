"""The AsyncAPI document is one by the standard's own JSON Schema, which comes from npm."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from support.tools.npm_tools import npm_file

DOCUMENT = Path(__file__).parents[3] / "docs" / "contracts" / "shop" / "asyncapi.yaml"
BROKEN = {
    "an operation that neither sends nor receives": ("operations", "order.send.ORDER_CREATED", "action"),
    "an address that is no text": ("channels", "ORDER_CREATED", "address"),
    "partitions that are no number": ("channels", "ORDER_CREATED", "bindings", "kafka", "partitions"),
}


@pytest.fixture(scope="module")
def standard() -> Draft7Validator:
    """The published schema of AsyncAPI 3.1."""
    return Draft7Validator(json.loads(npm_file("asyncapi", "@asyncapi/specs/schemas/3.1.0.json").read_text()))


@pytest.fixture
def document() -> Any:
    """The reference flow's document, as it is committed; a unit test says that it is today's."""
    return yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))


def test_the_document_of_the_reference_flow_is_asyncapi(standard: Draft7Validator, document: Any) -> None:
    """What is exported has no error by the published schema."""
    assert [f"{error.json_path}: {error.message}" for error in standard.iter_errors(document)] == []


@pytest.mark.parametrize("place", BROKEN.values(), ids=BROKEN.keys())
def test_a_wrong_document_is_refused(standard: Draft7Validator, document: Any, place: tuple[str, ...]) -> None:
    """The schema does tell right from wrong, where we write something."""
    node = document
    for part in place[:-1]:
        node = node[part]
    node[place[-1]] = ["no", "such"]
    assert not standard.is_valid(document)


def test_every_reference_of_the_document_leads_somewhere(document: Any) -> None:
    """Parts of schemas moved to the document's own names, so each reference has to be found there."""

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [one for below in node.values() for one in references(below)]
        return [one for below in node for one in references(below)] if isinstance(node, list) else []

    assert len(references(document)) > 50
    for reference in references(document):
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
