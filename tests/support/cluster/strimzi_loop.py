"""What the double's two operators share: how they are told of things, when they act, and how they answer.

As Strimzi's they are level-based. Names are collected for `delay` seconds and then taken up in one batch, each as it
stands by then; every `period` seconds all are. An answer is written when it says something new, and the event of that
very write makes for one more look.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
from confluent_kafka import KafkaException

from orderflow_model.timestamps import write_time
from support.cluster.api import Api, ApiError, Json
from support.cluster.kafka_books import KafkaBooks
from support.cluster.kafka_rights import KafkaRights

PAUSED = "ReconciliationPaused"
CLUSTER_LABEL = "strimzi.io/cluster"
_MEANWHILE = (404, 409, 422)  # gone, edited or being deleted by now: another event tells
_LATER = (KafkaException, TimeoutError, aiohttp.ClientError, ConnectionError)


class Refused(Exception):  # noqa: N818 - it is what Strimzi answers
    """What Strimzi says it will not do: reason and message of the condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Site:
    """Where the operators work: the resources of one cluster's label in one namespace, on that cluster's Kafka."""

    api: Api
    namespace: str
    cluster: str
    kafka: KafkaRights | KafkaBooks
    refusals: dict[str, Refused] = field(default_factory=dict)

    @property
    def selector(self) -> str:
        """The label that every resource of the cluster has."""
        return f"{CLUSTER_LABEL}={self.cluster}"

    async def ask(self, call: Any, *arguments: Any) -> Any:
        """Have Kafka do something; Refused with the broker's words when it will not, KafkaException to try again."""
        try:
            return await asyncio.to_thread(call, *arguments)
        except KafkaException as error:
            told = error.args[0]
            if told.code() < 0 or told.retriable():  # it is busy or away
                raise
            raise Refused("KafkaError", told.str()) from error


class Reconciler(ABC):
    """One of the two operators, while `run` runs."""

    kind: str

    def __init__(self, site: Site) -> None:
        self.site = site
        self._names: set[str] = set()
        self._told = asyncio.Event()

    async def run(self, period: float, delay: float) -> None:
        """Keep the resources of the kind until cancelled; what an earlier run had been told of is forgotten."""
        self._names = set()
        self._told.clear()
        async with asyncio.TaskGroup() as group:
            for work in (*self.sources(), self._rounds(period), self._work(delay)):
                group.create_task(work)

    def sources(self) -> list[Coroutine[Any, Any, None]]:
        """Give the watches that name resources."""
        return [self.follow(self.kind, self.site.selector)]

    async def names(self) -> set[str]:
        """Give what a round is to look at."""
        return {item["metadata"]["name"] for item in await self._items()}

    @abstractmethod
    async def reconcile(self, name: str, item: Json | None, others: Sequence[Json]) -> None:
        """Make true what a resource says, and answer; None is one that is not there, `others` are all there are."""

    async def round(self) -> None:
        """Look at everything, as every `period` seconds."""
        self._tell(await self.names())

    async def follow(self, kind: str, labels: str) -> None:
        """Be told of the name of everything of a kind that changes."""
        async for _, item in self.site.api.follow(kind, self.site.namespace, labels):
            self._tell({item["metadata"]["name"]})

    async def answer(self, item: Json, conditions: list[Json], generation: int, **more: str | None) -> None:
        """Write a status where it says something new; None takes a field away."""
        before, status = item.get("status", {}), {"conditions": conditions, "observedGeneration": generation, **more}
        if _timeless(before) != _timeless(before | status):
            await self.site.api.set_status(item, status)

    def _tell(self, names: set[str]) -> None:
        self._names |= names
        self._told.set()

    async def _items(self) -> list[Json]:
        return await self.site.api.list(self.kind, self.site.namespace, self.site.selector)

    async def _rounds(self, period: float) -> None:
        while True:
            await asyncio.sleep(period)
            try:
                await self.round()
            except (ApiError, *_LATER):
                continue  # the next round comes

    async def _work(self, delay: float) -> None:
        while True:
            await self._told.wait()
            await asyncio.sleep(delay)
            self._told.clear()
            batch, self._names = sorted(self._names), set()
            try:
                await self._take_up(batch)
            except (ApiError, *_LATER):
                await asyncio.sleep(0.5)
                self._tell(set(batch))

    async def _take_up(self, batch: list[str]) -> None:
        items = await self._items()
        found = {item["metadata"]["name"]: item for item in items}
        for name in batch:
            try:
                await self.reconcile(name, found.get(name), items)
            except ApiError as error:
                if error.status not in _MEANWHILE:
                    raise


def condition(kind: str, refused: Refused | None = None, status: str = "True") -> Json:
    """Give a condition as Strimzi writes it."""
    told = {"type": kind, "status": status, "lastTransitionTime": write_time(datetime.now(UTC))}
    return told | ({"reason": refused.reason, "message": str(refused)} if refused else {})


def is_paused(item: Json) -> bool:
    """Tell whether a person has asked to leave it alone for a while."""
    return annotation(item, "strimzi.io/pause-reconciliation") == "true"


def annotation(item: Json, name: str) -> str:
    """Give an annotation's value, in small letters; empty where there is none."""
    return str(item["metadata"].get("annotations", {}).get(name, "")).lower()


def seen_generation(item: Json) -> int:
    """Give the generation that was answered before."""
    return int(item.get("status", {}).get("observedGeneration", 0))


def _timeless(status: Json) -> Json:
    """Give what a status says, without when it began to."""
    conditions = [one | {"lastTransitionTime": ""} for one in status.get("conditions", ())]
    return {key: value for key, value in status.items() if value is not None} | {"conditions": conditions}
