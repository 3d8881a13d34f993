"""What the operator remembers of an object that is there: whether it is as applied, and how it fares. Pure.

Whether it is as applied is read from its managedFields. Whatever anybody else changes in a field that we own takes that
field out of our entry there, so an unchanged entry means unchanged values. An entry that is new to us (after a restart,
or after somebody's change) is settled once, by putting together what we own of the object and comparing its digest with
the one we left in an annotation.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from orderflow_operator.kubernetes.client import FIELD_MANAGER
from orderflow_operator.kubernetes.health import Health
from orderflow_operator.kubernetes.kinds import Kind
from orderflow_operator.kubernetes.labels import FLOW_LABEL, HASH_ANNOTATION, Object

_REPLICAS = b'"f:replicas"'
_DIGEST_BYTES = 7  # one more, and each of the numbers kept would take half as much again


class _Managed(msgspec.Struct):
    manager: str = ""
    operation: str = ""
    subresource: str = ""
    fieldsV1: msgspec.Raw = msgspec.Raw(b"{}")  # noqa: N815 - the API's own name


class _Metadata(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = "0"
    generation: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    managed_fields: list[_Managed] = []


class DecodedObject(msgspec.Struct):
    """An object as far as it is read from an answer or a watch."""

    metadata: _Metadata
    spec: msgspec.Raw = msgspec.Raw(b"null")
    status: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def flow(self) -> str:
        """The name of the flow it belongs to."""
        return self.metadata.labels.get(FLOW_LABEL, "")

    @property
    def version(self) -> int:
        """The resource version; it only grows."""
        text = self.metadata.resource_version
        return int(text) if text.isdigit() else 0


class CachedObject(msgspec.Struct, gc=False, frozen=True):
    """What is kept, thousands of times. `applied`: digest of what we applied, 0 for nothing. `fields`: digest of what
    we own. `clean`: whether it is as we applied it. `counts`: whether we own how many replicas it has.
    """

    version: int
    applied: int
    fields: int
    clean: bool
    health: Health
    counts: bool = False

    def is_as(self, digest: int) -> bool:
        """Return whether it is there as what has this digest."""
        return self.clean and self.applied == digest


def decode_object(data: bytes | msgspec.Raw) -> DecodedObject:
    """Read an object from JSON."""
    return _SEEN.decode(data)


_SEEN = msgspec.json.Decoder(DecodedObject)


def after_apply(kind: Kind, answer: bytes) -> tuple[DecodedObject, CachedObject]:
    """Return what to keep of an object that we have just applied: as it is now is how we wanted it."""
    found = decode_object(answer)
    return found, _live(kind, found, clean=True)


def after_watch(
    kind: Kind, data: bytes | msgspec.Raw, known: CachedObject | None
) -> tuple[DecodedObject, CachedObject]:
    """Return what to keep of an object that was listed or watched."""
    found = decode_object(data)
    if known is not None and known.fields == _fields(found) and known.applied == _applied(found):
        return found, _live(kind, found, clean=known.clean)
    return found, _live(kind, found, clean=_as_applied(kind, data, found))


def digest_of(wanted: Object) -> int:
    """Return the digest of an object as we want it."""
    return _digest(msgspec.json.encode(wanted, order="deterministic"))


def written(digest: int) -> str:
    """Return a digest as the annotation holds it."""
    return f"{digest:014x}"


def owned(value: Any, fields: Mapping[str, Any]) -> Any:
    """Return the part of a value that a set of fields speaks of, as its owner applied it."""
    if not fields:
        return value
    if isinstance(value, Mapping):
        names = ((key[2:], below) for key, below in fields.items() if key.startswith("f:"))
        return {name: owned(value[name], below) for name, below in names if name in value}
    if isinstance(value, list):
        selectors = [(key, below) for key, below in fields.items() if key != "."]
        return [owned(item, below) for item in value for key, below in selectors if _selects(key, item)]
    return value


def owns(found: Object, path: Sequence[str]) -> bool:
    """Return whether we own the field at a path of `managedFields`, such as f:spec, f:replicas."""
    for manager in found["metadata"].get("managedFields", ()):
        if manager.get("manager") == FIELD_MANAGER and manager.get("operation") == "Apply":
            fields = manager.get("fieldsV1", {})
            for step in path:
                fields = fields.get(step)
                if fields is None:
                    return False
            return True
    return False


def _selects(selector: str, item: Any) -> bool:
    if selector.startswith("v:"):
        return bool(msgspec.json.decode(selector[2:]) == item)
    keys = msgspec.json.decode(selector[2:])
    return isinstance(item, Mapping) and all(item.get(key) == value for key, value in keys.items())


def _live(kind: Kind, found: DecodedObject, clean: bool) -> CachedObject:
    health = kind.health(found.metadata.generation, found.spec, found.status)
    ours = _ours(found)
    return CachedObject(found.version, _applied(found), _digest(ours), clean, health, _REPLICAS in ours)


def _applied(found: DecodedObject) -> int:
    return _number(found.metadata.annotations.get(HASH_ANNOTATION, ""))


def _number(digest: str) -> int:
    try:
        return int(digest, 16)
    except ValueError:
        return 0


def _ours(found: DecodedObject) -> bytes:
    for entry in found.metadata.managed_fields:
        if entry.manager == FIELD_MANAGER and entry.operation == "Apply" and not entry.subresource:
            return bytes(entry.fieldsV1)
    return b"{}"


def _fields(found: DecodedObject) -> int:
    return _digest(_ours(found))


def _digest(text: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(text, digest_size=_DIGEST_BYTES).digest())


def _as_applied(kind: Kind, data: bytes | msgspec.Raw, found: DecodedObject) -> bool:
    fields = msgspec.json.decode(_ours(found))
    if not fields:
        return False
    whole = msgspec.json.decode(data)
    mine: Object = owned(whole, fields)
    metadata = mine.setdefault("metadata", {})
    metadata |= {key: whole["metadata"][key] for key in ("name", "namespace") if key in whole["metadata"]}
    metadata.get("annotations", {}).pop(HASH_ANNOTATION, "")
    if not metadata.get("annotations", True):
        del metadata["annotations"]
    return digest_of(mine | kind.type_meta) == _applied(found)
