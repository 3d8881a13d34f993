"""All objects of all flows, as little of each as is needed.
`reflector` fills it, `objects` reads and adds what it wrote.

What is kept of an object takes some 300 bytes; 1,000 flows of 60 objects are 18 MB.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from orderflow_operator.kubernetes.cached_object import (
    CachedObject,
    DecodedObject,
    after_apply,
    after_watch,
    decode_object,
)
from orderflow_operator.kubernetes.kinds import Kind, ObjectKey


class FlowKey(NamedTuple):
    """Which flow: its namespace and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


Objects = Mapping[ObjectKey, CachedObject]
OnChange = Callable[[FlowKey], None]


class ObjectCache:
    """What is there, by flow.

    `on_drift` hears of a flow when one of its objects came, went or is not as applied, `on_progress` when one only
    fares otherwise.
    """

    def __init__(self, on_drift: OnChange, on_progress: OnChange) -> None:
        self._flows: dict[FlowKey, dict[ObjectKey, CachedObject]] = {}
        self._on_drift = on_drift
        self._on_progress = on_progress

    def __len__(self) -> int:
        return sum(map(len, self._flows.values()))

    def objects(self, key: FlowKey) -> Objects:
        """Return what is there of a flow, by kind and name."""
        return self._flows.get(key, {})

    def add_applied(self, kind: Kind, answer: bytes) -> None:
        """Remember an object as the API server answered our own write; nobody needs to hear of it."""
        found, cached = after_apply(kind, answer)
        self._keep(kind, found, cached)

    def add_watched(self, kind: Kind, data: bytes | msgspec.Raw) -> str:
        """Remember an object that was listed or watched; return its resource version."""
        found = decode_object(data)
        if found.flow:
            key, object_key = _key(found), ObjectKey(kind, found.metadata.name)
            known = self._flows.get(key, {}).get(object_key)
            if known is None or known.version < found.version:
                _, cached = after_watch(kind, data, known)
                self._keep(kind, found, cached)
                self._tell(key, known, cached)
        return found.metadata.resource_version

    def remove_watched(self, kind: Kind, data: bytes | msgspec.Raw) -> str:
        """Forget an object that was deleted, unless it was made again meanwhile; return its resource version."""
        found = decode_object(data)
        key, object_key = _key(found), ObjectKey(kind, found.metadata.name)
        known = self._flows.get(key, {}).get(object_key)
        if known is not None and known.version <= found.version:
            self.remove(key, object_key)
            self._on_drift(key)
        return found.metadata.resource_version

    def remove(self, key: FlowKey, object_key: ObjectKey) -> None:
        """Forget an object."""
        objects = self._flows.get(key, {})
        objects.pop(object_key, None)
        if not objects:
            self._flows.pop(key, None)

    def retain(self, kind: Kind, namespace: str | None, present: set[tuple[FlowKey, str]], version: int) -> None:
        """Forget what a complete list of a kind, in a namespace or in all, did not hold, and is not newer than it."""
        for key, object_key, cached in list(self._of_kind(kind, namespace)):
            if (key, object_key.name) not in present and cached.version <= version:
                self.remove(key, object_key)
                self._on_drift(key)

    def wake(self, namespace: str | None) -> None:
        """Tell of every known flow in a namespace, or in all: what is around them has changed."""
        for key in list(self._flows):
            if namespace in (None, key.namespace):
                self._on_drift(key)

    def _of_kind(self, kind: Kind, namespace: str | None) -> Iterator[tuple[FlowKey, ObjectKey, CachedObject]]:
        for key, objects in self._flows.items():
            if namespace in (None, key.namespace):
                for object_key, cached in objects.items():
                    if object_key.kind is kind:
                        yield key, object_key, cached

    def _tell(self, key: FlowKey, before: CachedObject | None, after: CachedObject) -> None:
        if before is None or (before.clean, before.applied) != (after.clean, after.applied):
            self._on_drift(key)
        elif before.health != after.health:
            self._on_progress(key)

    def _keep(self, kind: Kind, found: DecodedObject, cached: CachedObject) -> None:
        objects = self._flows.setdefault(_key(found), {})
        object_key = ObjectKey(kind, found.metadata.name)
        known = objects.get(object_key)
        if known is None or known.version <= cached.version:
            objects[object_key] = cached


def _key(found: DecodedObject) -> FlowKey:
    return FlowKey(found.metadata.namespace, found.flow)
