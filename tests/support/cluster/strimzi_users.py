"""The double of Strimzi's user operator. tests/controlplane/STRIMZI.md lists what it does as the real one does."""

import base64
import secrets
import string
from collections.abc import Coroutine, Sequence
from typing import Any

from support.cluster.api import ApiError, Json
from support.cluster.strimzi_loop import (
    CLUSTER_LABEL,
    PAUSED,
    Reconciler,
    Refused,
    condition,
    is_paused,
    seen_generation,
)

_KIND_LABEL = "strimzi.io/kind"
_OPERATOR = "strimzi-user-operator"
_DOMAIN = "app.kubernetes.io/"
_NOBODYS = {"*", "ANONYMOUS"}
_LETTERS = string.ascii_letters + string.digits


class UserOperator(Reconciler):
    """Keeps SCRAM users, their rules and their Secrets as KafkaUsers say; all users of the Kafka are its own."""

    kind = "KafkaUser"

    def sources(self) -> list[Coroutine[Any, Any, None]]:
        """Give the watches of KafkaUsers and of their Secrets, which have the same names."""
        labels = f"{self.site.selector},{_KIND_LABEL}={self.kind}"
        return [*super().sources(), self.follow("Secret", labels)]

    async def names(self) -> set[str]:
        """Give every KafkaUser and everybody whom Kafka knows."""
        known: set[str] = await self.site.ask(self.site.kafka.principals)
        return await super().names() | (known - _NOBODYS)

    async def reconcile(self, name: str, item: Json | None, others: Sequence[Json]) -> None:
        """Make or alter a user and answer; end one that no KafkaUser names."""
        if item is None:
            await self.site.api.delete("Secret", self.site.namespace, name)
            await self.site.ask(self.site.kafka.forget, name)
        elif is_paused(item):
            nothing = {"username": None, "secret": None}
            await self.answer(item, [condition(PAUSED)], seen_generation(item), **nothing)
        else:
            await self._keep(item)

    async def _keep(self, item: Json) -> None:
        name, generation = item["metadata"]["name"], item["metadata"]["generation"]
        rules = item["spec"].get("authorization", {}).get("acls", [])
        try:
            if name in self.site.refusals:
                raise self.site.refusals[name]
            password = await self._password(item)
            await self.site.ask(self.site.kafka.ensure_user, name, password, rules)
        except Refused as refused:
            told = condition("NotReady", Refused("ExecutionException", str(refused)))
            await self.answer(item, [told], generation, username=None, secret=None)
        else:
            await self.answer(item, [condition("Ready")], generation, username=name, secret=name)

    async def _password(self, item: Json) -> str:
        """Give the password of the user's Secret; what has its name and is not yet such a Secret becomes one."""
        name = item["metadata"]["name"]
        found = await self.site.api.get("Secret", self.site.namespace, name) or {}
        password = self._known(found) or "".join(secrets.choice(_LETTERS) for _ in range(32))
        wanted = _secret(item, password)
        if _differs(found, wanted):
            await self._write(found, wanted)
        return password

    def _known(self, secret: Json) -> str:
        """Give the password of a Secret that has the labels; others are not seen."""
        labels = secret.get("metadata", {}).get("labels", {})
        if (labels.get(CLUSTER_LABEL), labels.get(_KIND_LABEL)) != (self.site.cluster, self.kind):
            return ""
        return base64.b64decode(secret.get("data", {}).get("password", "")).decode()

    async def _write(self, found: Json, wanted: Json) -> None:
        api, namespace, name = self.site.api, self.site.namespace, wanted["metadata"]["name"]
        try:
            if not found:
                await api.create(wanted, namespace)
                return
            metadata = found["metadata"] | wanted["metadata"]
            await api.replace(wanted | {"metadata": metadata}, namespace)
        except ApiError as error:
            if error.status in (404, 409):  # made, edited or gone meanwhile: another event tells
                raise
            raise Refused("KubernetesClientException", f"Secret {name}: {error}") from error


def _secret(item: Json, password: str) -> Json:
    meta = item["metadata"]
    name = meta["name"]
    jaas = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    data = {"password": password, "sasl.jaas.config": f'{jaas} username="{name}" password="{password}";'}
    owner = {"apiVersion": "kafka.strimzi.io/v1", "kind": item["kind"], "name": name, "uid": meta["uid"]}
    owner |= {"controller": False, "blockOwnerDeletion": False}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    metadata = {"name": name, "labels": _labels(item), "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}


def _labels(item: Json) -> dict[str, str]:
    """Give the KafkaUser's labels, those of Kubernetes' own domain replaced by Strimzi's."""
    name = item["metadata"]["name"]
    own = {"name": _OPERATOR, "instance": name, "part-of": f"strimzi-{name}", "managed-by": _OPERATOR}
    kept = {key: value for key, value in item["metadata"]["labels"].items() if not key.startswith(_DOMAIN)}
    short = {_DOMAIN + key: value[:63].rstrip("-._") for key, value in own.items()}
    return kept | short | {_KIND_LABEL: item["kind"]}


def _differs(found: Json, wanted: Json) -> bool:
    if not found or found.get("data") != wanted["data"]:
        return True
    keys = ("labels", "ownerReferences")
    return any(found["metadata"].get(key) != wanted["metadata"][key] for key in keys)
