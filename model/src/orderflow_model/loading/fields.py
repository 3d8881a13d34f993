"""The fields the resource knows at a place.

`load` answers an unknown field with the one that was probably meant.
"""

from functools import cache
from typing import Any

from orderflow_model.findings import Place
from orderflow_model.flow import OrderFlow


def field_names(place: Place) -> tuple[str, ...]:
    """Return the names of the fields a mapping at that place may have; none where it is not ours to say."""
    node = _schema()
    for step in place:
        node = _resolved(_below(node, step))
    return tuple(node.get("properties", ()))


@cache
def _schema() -> dict[str, Any]:
    return OrderFlow.model_json_schema()


def _below(node: dict[str, Any], step: str | int) -> dict[str, Any]:
    if isinstance(step, int):
        return dict(node.get("items", {}))
    return dict(node.get("properties", {}).get(step, {}))


def _resolved(node: dict[str, Any]) -> dict[str, Any]:
    for choice in node.get("anyOf", ()):
        if choice.get("type") != "null":
            return _resolved(choice)
    reference = node.get("$ref", "").rpartition("/")[2]
    return dict(_schema()["$defs"][reference]) if reference else node
