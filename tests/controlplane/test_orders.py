"""Orders run through what the operator wrote: its pods as processes, on a real Kafka with ACLs and a real Postgres."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orderflow_cli.servers.postgres import Postgres, create_database, drop_database
from orderflow_model.loading.load import parse_flow
from support.cluster.api import Api, Json
from support.cluster.controlplane import ControlPlane
from support.cluster.kafka_rights import KafkaRights
from support.cluster.kubelet import Kubelet, Machine
from support.cluster.operator_env import OperatorEnv, operator_of
from support.cluster.operator_process import make_account
from support.cluster.strimzi import Strimzi
from support.flow.fleet import Fleet
from support.flow.flows import changed, shop
from support.flow.oracles import judge, until_at_rest
from support.flow.orders import mixture, shop_of
from support.tools.names import unique_name
from support.tools.secure_kafka import SecureKafka

ORDERS = 200


class InCluster(Fleet):
    """The flow as it runs in the cluster, seen as a fleet: the provider is a process of the test, the rest are pods."""

    kubelet: Kubelet

    def url(self, name: str, path: str) -> str:
        """Give an address at a pod's HTTP port, or at the provider's."""
        if name in self.ports:
            return super().url(name, path)
        return f"http://{self.kubelet.address(name.removesuffix('-0'))}:8080{path}"


@pytest.fixture
async def database_url(postgres: Postgres) -> AsyncIterator[str]:
    """An empty database of the flow's own."""
    name = unique_name("db")
    await create_database(postgres.admin_url(), name)
    yield postgres.admin_url(name)
    await drop_database(postgres.admin_url(), name)


@pytest.fixture
async def running(
    api: Api,
    namespace: str,
    served: ControlPlane,
    scratch: Path,
    secure_kafka: SecureKafka,
    database_url: str,
) -> AsyncIterator[tuple[OperatorEnv, InCluster]]:
    """The reference flow, applied and ready, every pod a process."""
    token = await make_account(api, namespace)
    flow = changed(shop(unique_name("f")), "spec.defaults.topic.replicas", 1)  # there is one broker
    (folder := scratch / flow["metadata"]["name"]).mkdir()
    fleet = InCluster(parse_flow(flow), secure_kafka.bootstrap, database_url, folder)
    fleet.start_provider()
    network = {
        "events-kafka-bootstrap:9093": secure_kafka.secure_bootstrap,
        "payment-provider:8090": f"127.0.0.1:{fleet.ports['provider']}",
    }
    env = OperatorEnv(api, namespace, operator_of(served, namespace, token, scratch), served)
    env.kubelet = fleet.kubelet = Kubelet(api, namespace, Machine(folder / "pods", network))
    env.strimzi = Strimzi(api, namespace, KafkaRights(secure_kafka.bootstrap))
    try:
        async with env.open():
            await env.strimzi.publish_authority("events", secure_kafka.ca)
            await env.start()
            await env.give_database(flow, database_url)
            await env.apply(flow, database=False)
            yield env, fleet
    finally:
        await asyncio.to_thread(fleet.stop)


@pytest.mark.timeout(600)
async def test_orders_end_right_through_what_the_operator_wrote(running: tuple[OperatorEnv, InCluster]) -> None:
    """Two hundred orders of every fate; then each oracle agrees on database, topics and provider."""
    env, fleet = running
    await env.until_ready(fleet.flow.metadata.name, 300)
    async with shop_of(fleet) as client:
        await client.place_all(mixture(ORDERS))
        await until_at_rest(fleet, ORDERS, 240)
    print(await judge(fleet))
    await check_roles(env, fleet)


async def check_roles(env: OperatorEnv, fleet: InCluster) -> None:
    """Every service came in as its own role, never as the administrator."""
    for process in env.kubelet.processes.values():
        service: Json = process.pod["metadata"]["labels"]
        role = f"{fleet.flow.metadata.name}_{service['orderflow.dev/service']}"
        assert process.env["ORDERFLOW_DATABASE_URL"].startswith(f"postgresql://{role}:")
        assert process.env["ORDERFLOW_KAFKA_SECURITY_PROTOCOL"] == "SASL_SSL"
    for secret in await env.api.list("Secret", env.namespace, "app.kubernetes.io/managed-by=orderflow"):
        for value in secret["data"].values():
            assert fleet.admin_url.encode() not in base64.b64decode(value)
