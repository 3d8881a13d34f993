"""A double of Strimzi's topic and user operators, for one namespace: Strimzi's own are not on any registry.

It does what their documentation says of KafkaTopic and KafkaUser: topics, SCRAM users and ACLs on a real Kafka where
one is given, a user's Secret, the finalizer of topics, `Ready` with `observedGeneration`. Without one it keeps books.
"""

import asyncio
import base64
import secrets
from collections.abc import Awaitable
from contextlib import suppress
from datetime import UTC, datetime

from confluent_kafka import KafkaException

from support.api import Api, ApiError, Json
from support.kafka_rights import KafkaRights

FINALIZER = "strimzi.io/topic-operator"


class Refused(Exception):  # noqa: N818  (it is what Strimzi answers)
    """What Strimzi says it will not do: reason and message of the Ready condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Strimzi:
    """Both operators, while `run` runs."""

    def __init__(self, api: Api, namespace: str, kafka: KafkaRights | None = None) -> None:
        self._api = api
        self._namespace = namespace
        self._kafka = kafka
        self.partitions: dict[str, int] = {}
        self.refusals: dict[str, Refused] = {}
        """Topics that this double refuses, by name, because a test says so."""

    async def publish_authority(self, cluster: str, certificate: str) -> None:
        """Write the cluster's certificate where Strimzi's cluster operator does."""
        name = f"{cluster}-cluster-ca-cert"
        await self._api.apply(_secret(name, {"ca.crt": certificate}, {}), self._namespace)

    async def run(self) -> None:
        """Follow topics and users until cancelled."""
        await asyncio.gather(self._follow("KafkaTopic"), self._follow("KafkaUser"))

    async def _follow(self, kind: str) -> None:
        answer = self._topic if kind == "KafkaTopic" else self._user
        async for change, item in self._api.follow(kind, self._namespace):
            while not await self._done(answer(change, item)):
                pass

    async def _done(self, answering: Awaitable[None]) -> bool:
        try:
            await answering
        except ApiError as error:
            if error.status not in (404, 409):  # gone or edited meanwhile: another change tells
                raise
        except (KafkaException, TimeoutError):
            await asyncio.sleep(0.5)  # a busy broker did not answer in time: Strimzi tries again too
            return False
        return True

    async def _topic(self, change: str, item: Json) -> None:
        name = item["spec"].get("topicName") or item["metadata"]["name"]
        if "deletionTimestamp" in item["metadata"]:
            await self._end_topic(change, item, name)
        elif change != "DELETED" and not _is_told(item):
            await self._finalizers(item, [FINALIZER])
            try:
                await self._make_topic(name, item["spec"])
            except Refused as refused:
                await self._answer(item, {"topicName": name}, refused)
            else:
                await self._answer(item, {"topicName": name})

    async def _make_topic(self, name: str, spec: Json) -> None:
        if name in self.refusals:
            raise self.refusals[name]
        wanted, present = spec.get("partitions", 1), self.partitions.get(name, 0)
        if self._kafka:
            present = await asyncio.to_thread(self._kafka.partitions, name)
        if wanted < present:
            raise Refused("NotSupported", f"Decreasing partitions not supported: {present} to {wanted}")
        if self._kafka:
            await asyncio.to_thread(self._kafka.ensure_topic, name, wanted, spec.get("config", {}))
        self.partitions[name] = wanted

    async def _end_topic(self, change: str, item: Json, name: str) -> None:
        if change == "DELETED" or FINALIZER not in item["metadata"].get("finalizers", ()):
            return
        if self._kafka:
            await asyncio.to_thread(self._kafka.delete_topic, name)
        self.partitions.pop(name, None)
        await self._finalizers(item, [])

    async def _finalizers(self, item: Json, wanted: list[str]) -> None:
        others = [name for name in item["metadata"].get("finalizers", ()) if name != FINALIZER]
        if item["metadata"].get("finalizers", []) != others + wanted:
            name = item["metadata"]["name"]
            await self._api.patch(item["kind"], self._namespace, name, {"metadata": {"finalizers": others + wanted}})

    async def _user(self, change: str, item: Json) -> None:
        user = item["metadata"]["name"]
        if change == "DELETED":
            if self._kafka:
                await asyncio.to_thread(self._kafka.forget, user)
        elif not _is_told(item):
            password = await self._password(item, user)
            if self._kafka:
                rules = item["spec"].get("authorization", {}).get("acls", [])
                await asyncio.to_thread(self._kafka.ensure_user, user, password, rules)
            await self._answer(item, {"username": user, "secret": user})

    async def _password(self, item: Json, user: str) -> str:
        """Give the user's password, made once and kept in the Secret that Strimzi would make."""
        if found := await self._api.get("Secret", self._namespace, user):
            return base64.b64decode(found["data"]["password"]).decode()
        password = secrets.token_urlsafe(24)
        jaas = "org.apache.kafka.common.security.scram.ScramLoginModule required"
        data = {"password": password, "sasl.jaas.config": f'{jaas} username="{user}" password="{password}";'}
        metadata = {"ownerReferences": [_owner(item)], "labels": {"strimzi.io/kind": "KafkaUser"}}
        with suppress(ApiError):
            await self._api.create(_secret(user, data, metadata), self._namespace)
        return password

    async def _answer(self, item: Json, more: Json, refused: Refused | None = None) -> None:
        condition = {"type": "Ready", "status": str(refused is None), "lastTransitionTime": _now()}
        if refused:
            condition |= {"reason": refused.reason, "message": str(refused)}
        status = {"conditions": [condition], "observedGeneration": item["metadata"]["generation"]}
        await self._api.set_status(item, status | more)


def _is_told(item: Json) -> bool:
    return bool(item.get("status", {}).get("observedGeneration") == item["metadata"]["generation"])


def _secret(name: str, data: dict[str, str], metadata: Json) -> Json:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, **metadata}, "stringData": data}


def _owner(item: Json) -> Json:
    meta = item["metadata"]
    return {"apiVersion": "kafka.strimzi.io/v1", "kind": item["kind"], "name": meta["name"], "uid": meta["uid"]}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
