"""What the pods of a flow can count on, as plain sentences: by them two moments, or a moment and a picture, compare."""

from collections.abc import Iterable, Iterator
from typing import Any

Json = dict[str, Any]

_NAMED = ("KafkaTopic", "Deployment", "Service", "ServiceAccount")


def facts(objects: Iterable[Json]) -> set[str]:
    """Give what these objects, as they are there or as they are built, allow and hold."""
    return {fact for item in objects for fact in _of(item)}


def _of(item: Json) -> Iterator[str]:
    kind, name, spec = item["kind"], item["metadata"]["name"], item.get("spec", {})
    if kind in _NAMED:
        yield f"{kind} {name}"
    if kind == "Service":
        yield f"{name} leads to {sorted(spec['selector'].items())}, {spec['ports'][0]['targetPort']}"
    if kind == "KafkaUser":
        yield from _rights(name, spec["authorization"]["acls"])
    elif kind == "NetworkPolicy":
        for way in ("ingress", "egress"):
            yield from (f"{way} {sorted(map(str, rule.items()))}" for rule in spec[way])
    elif kind == "ScaledObject":
        yield from (f"{name} is scaled by {one['metadata']['topic']}" for one in spec["triggers"])


def _rights(user: str, rules: Iterable[Json]) -> Iterator[str]:
    for rule in rules:
        resource = rule["resource"]
        for operation in rule["operations"]:
            yield f"{user} may {operation} {resource['type']} {resource['name']}"
