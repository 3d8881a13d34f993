"""Kubernetes as the reconcile sees it: what is there of a flow, and how it is written. Nothing else writes.

An object is applied only where its digest or what is there of it differs from what is wanted; everything that is
written is counted by kind.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from orderflow_model.flow import GROUP
from orderflow_operator.kubernetes.cache import FlowKey, ObjectCache, Objects
from orderflow_operator.kubernetes.cached_object import owns, written
from orderflow_operator.kubernetes.client import FIELD_MANAGER, Api, ApiError
from orderflow_operator.kubernetes.errors import (
    ConflictError,
    FlowError,
    NotServedError,
    RejectedError,
    SecretTakenError,
)
from orderflow_operator.kubernetes.kinds import (
    CONFIG_MAP,
    CRD,
    DEPLOYMENT,
    EVENT,
    JOB,
    KAFKA_USER,
    ORDER_FLOW,
    POD,
    SECRET,
    SERVICE,
    Kind,
    ObjectKey,
)
from orderflow_operator.kubernetes.labels import (
    FLOW_LABEL,
    HASH_ANNOTATION,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    OWNER_ANNOTATION,
    Object,
)
from orderflow_operator.kubernetes.reflector import Reflector
from orderflow_operator.kubernetes.stored import Stored
from orderflow_operator.kubernetes.wanted_object import WantedObject
from orderflow_operator.metrics import WRITES


class _HeadMetadata(msgspec.Struct):
    name: str
    namespace: str = ""
    generation: int = 0


class _HeadStatus(msgspec.Struct, rename="camel", frozen=True):
    observed_generation: int = 0


class _Head(msgspec.Struct):
    metadata: _HeadMetadata
    status: _HeadStatus = _HeadStatus()


class ObjectClient:
    """The API server and what is remembered of it."""

    def __init__(self, api: Api, store: ObjectCache, watches: Sequence[Reflector]) -> None:
        self._api = api
        self._cache = store
        self._reflectors = watches

    async def listed(self) -> None:
        """Wait until what is there is known."""
        for reflector in self._reflectors:
            await reflector.listed.wait()

    def served(self, kind: Kind) -> bool:
        """Return whether the API of a kind is there."""
        return any(reflector.served for reflector in self._reflectors if reflector.kind is kind)

    def objects(self, key: FlowKey) -> Objects:
        """Return what is there of a flow."""
        return self._cache.objects(key)

    async def namespace_ends(self, namespace: str) -> bool:
        """Return whether a namespace is being deleted, by whether anything new is refused there for that."""
        name = "orderflow.trial"
        body = CONFIG_MAP.type_meta | {"metadata": {"name": name}}
        try:
            await self._api.try_out(CONFIG_MAP.path(namespace, name), body)
        except ApiError as error:
            if error.status not in (403, 404):
                raise
            return error.status == 404 or "NamespaceTerminating" in error.causes
        return False

    async def flow(self, key: FlowKey) -> Object | None:
        """Read the flow itself; None when it is gone."""
        try:
            return _decoded(await self._api.get(ORDER_FLOW.path(key.namespace, key.name)))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def defined(self) -> bool:
        """Return whether the resource OrderFlow is there to stay: its CRD is, and is not being deleted."""
        try:
            crd = _decoded(await self._api.get(CRD.path(None, f"{ORDER_FLOW.plural}.{GROUP}")))
        except ApiError as error:
            return error.status != 404
        return "deletionTimestamp" not in crd["metadata"]

    async def flows(self, namespace: str | None) -> AsyncIterator[Object]:
        """Read all flows of a namespace, or of all, one at a time: together they would fill the memory."""
        async for item in self._flows(namespace):
            yield _decoded(item)

    async def unobserved(self, namespace: str | None) -> AsyncIterator[FlowKey]:
        """Yield which flows have an edit that no status speaks of yet."""
        async for item in self._flows(namespace):
            found = msgspec.json.decode(item, type=_Head)
            if found.status.observed_generation != found.metadata.generation:
                yield FlowKey(found.metadata.namespace, found.metadata.name)

    async def _flows(self, namespace: str | None) -> AsyncIterator[msgspec.Raw]:
        try:
            async for item in self._api.items(ORDER_FLOW.path(namespace)):
                yield item
        except ApiError as error:
            if error.status != 404:  # without the CRD there are none
                raise

    async def apply(self, key: FlowKey, uid: str, wanted: WantedObject) -> bool:
        """Make an object as it is wanted; tell whether that took a write. Raise `FlowError` when it cannot be."""
        object_key = wanted.key
        if object_key.kind.optional and not self.served(object_key.kind):
            raise NotServedError(object_key.kind)
        cached = self.objects(key).get(object_key)
        if cached is not None and cached.is_as(wanted.digest):
            return False
        body = _with_hash(wanted, wanted.digest)
        if cached is None:
            if object_key.kind is KAFKA_USER:
                await self.check_user_secret(key, object_key.name)
            answer = await self._create(key, uid, object_key, body)
        else:
            if cached.counts and _leaves_replicas(wanted):
                await self._hand_over_replicas(key, object_key)
            answer = await self._write(key, object_key, body)
        self._cache.add_applied(object_key.kind, answer)
        return True

    async def current(self, key: FlowKey, object_key: ObjectKey) -> Object | None:
        """Read an object of the flow as it is there; None when it is not."""
        return await self._get(key.namespace, object_key)

    async def remove(self, key: FlowKey, object_key: ObjectKey) -> None:
        """Delete an object of the flow, if it is still the one we know."""
        cached = self.objects(key).get(object_key)
        if cached is None:
            return
        waiting = "Foreground" if object_key.kind is JOB else "Background"  # what is left of a Job still works
        body = {"propagationPolicy": waiting, "preconditions": {"resourceVersion": str(cached.version)}}
        if await self._delete(key, object_key, body):
            self._cache.remove(key, object_key)

    async def service(self, namespace: str, name: str) -> Object | None:
        """Read a Service; None when it is not there."""
        return await self._get(namespace, ObjectKey(SERVICE, name))

    async def secret(self, namespace: str, name: str) -> dict[str, str] | None:
        """Read a Secret's values; None when it is not there."""
        found = await self.stored(namespace, name)
        return None if found is None else dict(found.values)

    async def stored(self, namespace: str, name: str) -> Stored | None:
        """Read a Secret; None when it is not there."""
        found = await self._get(namespace, ObjectKey(SECRET, name))
        return None if found is None else Stored.of(found)

    async def check_user_secret(self, key: FlowKey, name: str) -> None:
        """Raise `SecretTakenError` when Strimzi would overwrite a Secret that no KafkaUser of this name has."""
        found = await self._get(key.namespace, ObjectKey(SECRET, name))
        if found is None:
            return
        owners = [(one.get("kind"), one.get("name")) for one in found["metadata"].get("ownerReferences") or ()]
        if (KAFKA_USER.name, name) not in owners:
            raise SecretTakenError(name, _owner(found))

    async def own_secret(self, key: FlowKey, uid: str, name: str) -> Stored | None:
        """Read a Secret of the flow; None when it is not there. Raise `ConflictError` when it is somebody else's."""
        found = await self._own(key, uid, ObjectKey(SECRET, name))
        return None if found is None else Stored.of(found)

    async def create_secret(self, key: FlowKey, wanted: Object) -> Stored | None:
        """Make a Secret of the flow; None where one of its name is there. Raise `FlowError` when it cannot be."""
        object_key = ObjectKey(SECRET, wanted["metadata"]["name"])
        made = await self._made(key, object_key, wanted)
        return None if made is None else Stored.of(_decoded(made))

    async def write_secret(self, key: FlowKey, wanted: Object) -> Stored:
        """Apply a Secret of the flow; return it as it is now."""
        return Stored.of(_decoded(await self._write(key, ObjectKey(SECRET, wanted["metadata"]["name"]), wanted)))

    async def delete_secret(self, key: FlowKey, name: str) -> None:
        """Delete a Secret of the flow."""
        await self._delete(key, ObjectKey(SECRET, name), {})

    async def config(self, namespace: str, name: str) -> dict[str, str] | None:
        """Read a ConfigMap's values; None when it is not there."""
        found = await self._get(namespace, ObjectKey(CONFIG_MAP, name))
        return None if found is None else dict(found.get("data") or {})

    async def write_config(self, key: FlowKey, wanted: Object) -> None:
        """Apply a ConfigMap that no watch follows."""
        await self._write(key, ObjectKey.of(wanted), wanted)

    async def pods(self, key: FlowKey) -> list[Object]:
        """Read the pods of a flow."""
        query = {"labelSelector": f"{FLOW_LABEL}={key.name}"}
        return list(_decoded(await self._api.get(POD.path(key.namespace), **query))["items"])

    async def creation_refused(self, key: FlowKey, owner: str) -> str:
        """Return why the pods of an object are refused, by its newest Event that says so; empty when none does."""
        query = {"fieldSelector": f"involvedObject.name={owner},reason=FailedCreate"}
        found = _decoded(await self._api.get(EVENT.path(key.namespace), **query))["items"]
        newest: Object = max(found, key=lambda one: str(one.get("lastTimestamp") or ""), default={})
        return str(newest.get("message", ""))

    async def write_status(self, key: FlowKey, uid: str, status: Object) -> None:
        """Write the flow's status, unless it is another flow of the same name by now."""
        await self._merge_flow(key, "status", {"metadata": {"uid": uid}, "status": status})

    async def write_finalizers(self, key: FlowKey, version: str, finalizers: Sequence[str]) -> None:
        """Write the flow's finalizers, unless it has changed since it was read."""
        metadata = {"resourceVersion": version, "finalizers": list(finalizers)}
        await self._merge_flow(key, "", {"metadata": metadata}, conflicts_pass=False)

    async def post_event(self, event: Object) -> None:
        """Post a Kubernetes Event; one that is refused is not worth an error."""
        try:
            await self._api.post(EVENT.path(event["metadata"]["namespace"]), event)
            WRITES.labels(EVENT.name, "create").inc()
        except ApiError as error:
            if error.passing:
                raise

    async def _merge_flow(self, key: FlowKey, subresource: str, body: Object, *, conflicts_pass: bool = True) -> None:
        path = ORDER_FLOW.path(key.namespace, key.name, subresource)
        try:
            await self._api.merge(path, body, conflicts_pass=conflicts_pass)
            WRITES.labels(ORDER_FLOW.name, subresource or "patch").inc()
        except ApiError as error:
            if error.status != 404:
                raise

    async def _delete(self, key: FlowKey, object_key: ObjectKey, body: Object) -> bool:
        try:
            await self._api.delete(object_key.path(key.namespace), body)
        except ApiError as error:
            if error.status not in (404, 409):
                raise
            return error.status == 404  # otherwise it has changed: the next turn sees how
        WRITES.labels(object_key.kind.name, "delete").inc()
        return True

    async def _create(self, key: FlowKey, uid: str, object_key: ObjectKey, body: Object) -> bytes:
        """Make an object that is not known; take up one that is the flow's. Raise `FlowError` when it is another's."""
        if (made := await self._made(key, object_key, body)) is not None:
            return made
        await self._own(key, uid, object_key)
        return await self._write(key, object_key, body)

    async def _made(self, key: FlowKey, object_key: ObjectKey, body: Object) -> bytes | None:
        """Make an object; None where one of its name is there."""
        try:
            answer = await self._api.create(object_key.path(key.namespace), body)
        except ApiError as error:
            if error.status == 409:
                return None
            raise _as_flow_error(error, object_key) from error
        WRITES.labels(object_key.kind.name, "create").inc()
        return answer

    async def _write(self, key: FlowKey, object_key: ObjectKey, body: Object) -> bytes:
        try:
            answer = await self._api.apply(object_key.path(key.namespace), body)
        except ApiError as error:
            raise _as_flow_error(error, object_key) from error
        WRITES.labels(object_key.kind.name, "apply").inc()
        return answer

    async def _hand_over_replicas(self, key: FlowKey, object_key: ObjectKey) -> None:
        """Keep the number of pods while it passes from us to an autoscaler.

        A field that its only owner no longer applies falls back to its default: one pod, until the autoscaler has
        looked. So another manager takes the field first, at its present value.
        """
        found = await self._get(key.namespace, object_key)
        if found is not None and owns(found, ("f:spec", "f:replicas")):
            metadata = {"name": object_key.name, "namespace": key.namespace}
            body = {"metadata": metadata, "spec": {"replicas": found["spec"]["replicas"]}}
            body = object_key.kind.type_meta | body
            await self._api.apply(object_key.path(key.namespace), body, manager=f"{FIELD_MANAGER}-handover")
            WRITES.labels(object_key.kind.name, "handover").inc()

    async def _own(self, key: FlowKey, uid: str, object_key: ObjectKey) -> Object | None:
        """Read an object of the flow; None when it is not there. Raise `ConflictError` when it is somebody else's."""
        found = await self._get(key.namespace, object_key)
        if found is not None and not _is_ours(found, key, uid):
            raise ConflictError(object_key, _owner(found))
        return found

    async def _get(self, namespace: str, object_key: ObjectKey) -> Object | None:
        try:
            return _decoded(await self._api.get(object_key.path(namespace)))
        except ApiError as error:
            if error.status == 404:
                return None
            raise


def _decoded(answer: bytes | msgspec.Raw) -> Object:
    decoded: Object = msgspec.json.decode(answer)
    return decoded


def _with_hash(wanted: Object, digest: int) -> Object:
    metadata = wanted["metadata"]
    annotations = metadata.get("annotations", {}) | {HASH_ANNOTATION: written(digest)}
    return wanted | {"metadata": metadata | {"annotations": annotations}}


def _leaves_replicas(wanted: Object) -> bool:
    return bool(wanted["kind"] == DEPLOYMENT.name and "replicas" not in wanted["spec"])


def _is_ours(found: Object, key: FlowKey, uid: str) -> bool:
    """Return whether an object is the flow's: by its labels, or by its owner where somebody took the labels off."""
    metadata = found["metadata"]
    labels = metadata.get("labels") or {}
    owners = {owner.get("uid") for owner in metadata.get("ownerReferences") or ()}
    labelled = labels.get(MANAGED_BY_LABEL) == MANAGED_BY and labels.get(FLOW_LABEL) == key.name
    return labelled or uid in owners or (metadata.get("annotations") or {}).get(OWNER_ANNOTATION) == uid


def _owner(found: Object) -> str:
    metadata = found["metadata"]
    labels = metadata.get("labels") or {}
    if labels.get(MANAGED_BY_LABEL) == MANAGED_BY and FLOW_LABEL in labels:
        return f"OrderFlow {metadata.get('namespace', '')}/{labels[FLOW_LABEL]}"
    for owner in metadata.get("ownerReferences") or ():
        return f"{owner.get('kind')} {owner.get('name')}"
    makers: list[Any] = [one.get("manager") for one in metadata.get("managedFields") or ()]
    return f"somebody else ({makers[0]})" if makers else "somebody else"


def _as_flow_error(error: ApiError, object_key: ObjectKey) -> Exception:
    """Return what a refused write means for the flow; what passes is raised as it is and tried again."""
    if error.status == 404 and object_key.kind.optional:
        return NotServedError(object_key.kind)
    if error.status in (400, 422):
        return RejectedError(object_key, error.message)
    if error.status == 403:
        return FlowError(object_key.kind.condition, "Forbidden", f"{object_key}: {error.message}")
    return error
