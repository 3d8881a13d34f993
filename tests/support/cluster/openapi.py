"""Objects judged by Kubernetes' own schemas, as its sources publish them, where there is no API server to ask."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from support.tools.go_tools import kubernetes_sources

Json = dict[str, Any]

_TYPES = {"string": str, "boolean": bool, "integer": int, "number": (int, float), "object": dict, "array": list}


def faults(item: Json) -> list[str]:
    """Give what is wrong with an object: fields that its kind does not know or misses, values of a wrong type.

    Nothing for kinds that are not Kubernetes' own.
    """
    group, _, version = item["apiVersion"].rpartition("/")
    schema = _kinds().get((group, version, item["kind"]))
    return list(_faults(item, schema, item["kind"])) if schema else []


@cache
def _definitions() -> Json:
    file = kubernetes_sources() / "api/openapi-spec/swagger.json"
    return dict(json.loads(file.read_text())["definitions"])


@cache
def _kinds() -> dict[tuple[str, str, str], Json]:
    return {
        (kind["group"], kind["version"], kind["kind"]): schema
        for schema in _definitions().values()
        for kind in schema.get("x-kubernetes-group-version-kind", [])
    }


def _faults(value: Any, schema: Json, place: str) -> Iterator[str]:
    if "$ref" in schema:
        schema = _definitions()[schema["$ref"].rpartition("/")[2]]
    if schema.get("format") == "int-or-string":
        wanted: Any = (str, int)
    else:
        wanted = _TYPES.get(schema.get("type", ""), object)
    if not isinstance(value, wanted) or value is None or (isinstance(value, bool) and wanted in (int, (int, float))):
        yield f"{place} is {value!r}, not of type {schema.get('type')}"
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            yield from _faults(entry, schema.get("items", {}), f"{place}[{number}]")
    elif isinstance(value, dict):
        yield from _faults_of_fields(value, schema, place)


def _faults_of_fields(value: Json, schema: Json, place: str) -> Iterator[str]:
    known, others = schema.get("properties"), schema.get("additionalProperties", {})
    yield from (f"{place} has no {name}" for name in schema.get("required", []) if name not in value)
    for name, entry in value.items():
        if known is not None and name not in known and "additionalProperties" not in schema:
            yield f"{place} knows no {name}"
        else:
            yield from _faults(entry, (known or {}).get(name, others), f"{place}.{name}")
