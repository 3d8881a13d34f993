"""The CustomResourceDefinition of OrderFlow, generated from the pydantic models.

`python -m orderflow_model.crd` writes it to `manifests/crds/` and into the operator's chart, which can hold no file
from beside it; tests compare both with the models.
"""

import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from orderflow_model.flow import GROUP, KIND, PLURAL, VERSION, Spec
from orderflow_model.names import FLOW_MAX
from orderflow_model.spec.base import VALIDATIONS
from orderflow_model.status import FlowStatus

_NAME = "orderflows.orderflow.dev.yaml"
FILES = (Path("manifests/crds") / _NAME, Path("charts/orderflow-operator/files/crds") / _NAME)
HEADER = "# Generated from the models by `python -m orderflow_model.crd`; edit those.\n"

Schema = dict[str, Any]

# What the API server's structural schemas know; JSON Schema says more.
_KEPT = (
    "type", "format", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems",
    "maxProperties", "required", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
    "x-kubernetes-preserve-unknown-fields",
)  # fmt: skip

_COLUMNS = (
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "Whether all of the flow runs as it says."),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', "Why it does, or does not."),
    ("Services", "string", ".status.summary.services", "Services that are ready, of all."),
    ("Topics", "string", ".status.summary.topics", "Topics that are ready, of all."),
    ("Age", "date", ".metadata.creationTimestamp", "Time since the flow was made."),
)

_NAME_RULES = (
    {
        "rule": f"self.metadata.name.matches('^[a-z]([-a-z0-9]{{0,{FLOW_MAX - 2}}}[a-z0-9])?$')",
        "message": f"metadata.name has at most {FLOW_MAX} lower-case letters, digits and '-', a letter first:"
        " topics, roles and objects are named after the flow",
    },
    {
        "rule": "self.metadata.name != 'pg' && !self.metadata.name.startsWith('pg-')",
        "message": "metadata.name must not begin with pg-: Postgres reserves it, and roles are named after the flow",
    },
)


def custom_resource_definition() -> Schema:
    """Return the CRD as plain data."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["of"],
                "categories": ["orderflow"],
            },
            "versions": [_version()],
        },
    }


def structural(model: type[BaseModel]) -> Schema:
    """Return a model as a structural schema: references written out, nothing that the API server does not know."""
    whole = model.model_json_schema()
    return _Writer(whole.get("$defs", {})).write(whole)


class _Writer:
    def __init__(self, definitions: dict[str, Schema]) -> None:
        self._definitions = definitions

    def write(self, node: Schema, *, listed: bool = False) -> Schema:
        """Return a node's schema; one that is listed, at any depth, has its default in words alone.

        `kubectl apply` compares a list as a whole: a default that the API server filled in there would differ from the
        file each time.
        """
        node = self._resolved(node)
        default = node.get("default")
        default = None if default in ("", [], {}) else default
        schema: Schema = {"description": node["description"]} if "description" in node else {}
        schema |= {key: node[key] for key in _KEPT if key in node}
        if "const" in node:
            schema["enum"] = [node["const"]]
        if default is not None and listed:
            schema["description"] = f"{schema['description'].rstrip('.')}; {default} when left out."
        elif default is not None:
            schema["default"] = default
        if "properties" in node:
            children = node["properties"].items()
            schema["properties"] = {name: self.write(child, listed=listed) for name, child in children}
        if "items" in node:
            schema["items"] = self.write(node["items"], listed=True)
            schema.setdefault("x-kubernetes-list-type", "atomic")
        if values := self._values(node):
            schema["additionalProperties"] = self.write(values, listed=listed)
        if VALIDATIONS in node:
            schema[VALIDATIONS] = node[VALIDATIONS]
        return schema

    def _resolved(self, node: Schema) -> Schema:
        """Return a node without reference and without null; its own words go before those of what it refers to."""
        inner = [choice for choice in node.get("anyOf", ()) if choice.get("type") != "null"]
        if "$ref" in node:
            inner.append(self._definitions[node["$ref"].rpartition("/")[2]])
        if not inner:
            return node
        if len(inner) > 1:
            raise ValueError(f"a choice of types has no structural schema: {node}")
        below = self._resolved(inner[0])
        merged = below | {key: value for key, value in node.items() if key not in ("$ref", "anyOf")}
        if rules := [*below.get(VALIDATIONS, ()), *node.get(VALIDATIONS, ())]:
            merged[VALIDATIONS] = rules
        return merged

    @staticmethod
    def _values(node: Schema) -> Schema | None:
        """Return the schema of a map's values. Patterns of its keys are judged by the operator: CRDs know none."""
        patterns = list(node.get("patternProperties", {}).values())
        values = patterns[0] if patterns else node.get("additionalProperties")
        return values if isinstance(values, dict) else None


def _version() -> Schema:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path, "description": description}
            for name, kind, path, description in _COLUMNS
        ],
        "schema": {"openAPIV3Schema": _root()},
    }


def _root() -> Schema:
    return {
        "description": "An event-driven system as one picture: events, who publishes them, who subscribes.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}."},
            "kind": {"type": "string", "description": f"{KIND}."},
            "metadata": {"type": "object"},
            "spec": structural(Spec) | {"description": "What is wanted."},
            "status": structural(FlowStatus) | {"description": "What is; written by the operator alone."},
        },
        VALIDATIONS: list(_NAME_RULES),
    }


def as_yaml() -> str:
    """Return the CRD as the file has it."""
    return HEADER + yaml.dump(custom_resource_definition(), Dumper=_PlainDumper, sort_keys=False, width=120)


class _PlainDumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out: not every reader of manifests knows aliases."""
        return True


def main() -> None:
    """Write the CRD to the files named on the command line, or to its places in the repository."""
    for file in tuple(map(Path, sys.argv[1:])) or FILES:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(as_yaml())


if __name__ == "__main__":
    main()
