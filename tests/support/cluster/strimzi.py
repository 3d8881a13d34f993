"""A double of Strimzi 1.2.0's topic and user operators, for one namespace: Strimzi's own are not on any registry.

What it does, and what it leaves out, stands in tests/controlplane/STRIMZI.md. Given a real Kafka it keeps topics, SCRAM
users and ACLs there, all of whose users are then its own; without one it keeps books.
"""

import asyncio

from support.cluster.api import Api, Json
from support.cluster.kafka_books import KafkaBooks
from support.cluster.kafka_rights import KafkaRights
from support.cluster.strimzi_loop import Refused, Site
from support.cluster.strimzi_topics import TopicOperator
from support.cluster.strimzi_users import UserOperator

__all__ = ["Refused", "Strimzi"]


class Strimzi:
    """Both operators of the Kafka `cluster`, while `run` runs; `period` and `delay` in seconds."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        kafka: KafkaRights | None = None,
        cluster: str = "events",
        period: float = 120,
        delay: float = 0.1,
    ) -> None:
        self._site = Site(api, namespace, cluster, kafka or KafkaBooks())
        self._operators = (TopicOperator(self._site), UserOperator(self._site))
        self._times = (period, delay)
        self.refusals: dict[str, Refused] = self._site.refusals
        """Topics and users that this double refuses, by name, because a test says so."""

    async def publish_authority(self, cluster: str, certificate: str) -> None:
        """Write the cluster's certificate where Strimzi's cluster operator does."""
        metadata = {"name": f"{cluster}-cluster-ca-cert"}
        secret: Json = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
        await self._site.api.apply(secret | {"stringData": {"ca.crt": certificate}}, self._site.namespace)

    async def run(self) -> None:
        """Keep topics and users until cancelled."""
        async with asyncio.TaskGroup() as group:
            for operator in self._operators:
                group.create_task(operator.run(*self._times))

    async def round(self) -> None:
        """Look at everything now, as every `period` seconds."""
        for operator in self._operators:
            await operator.round()
