"""What `deletionPolicy` says of data, on a real Postgres: the jobs of pods really run, services are played."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from orderflow_cli.servers.kafka import Kafka
from orderflow_model.flow import OrderFlow
from orderflow_operator.resources import removaljob
from support.cluster.api import Api, Json
from support.cluster.controlplane import ControlPlane
from support.cluster.kubelet import Kubelet, Machine
from support.cluster.operator_env import SELDOM_S, OperatorEnv, operator_of
from support.cluster.operator_process import bind_everywhere, make_account
from support.cluster.pod_status import Fate
from support.flow.fleet import until
from support.flow.flows import changed, pair, service

SERVICES = ("asker", "answerer", "third")


@pytest.fixture
async def working(api: Api, namespace: str, served: ControlPlane, scratch: Path) -> AsyncIterator[OperatorEnv]:
    """An environment whose jobs are processes."""
    token = await make_account(api, namespace)
    env = OperatorEnv(api, namespace, operator_of(served, namespace, token, scratch), served)
    env.kubelet = Kubelet(api, namespace, Machine(scratch / f"pods-{namespace}"))
    for name in SERVICES:
        await env.kubelet.decide(name, Fate.READY)
    async with env.open():
        await env.start()
        yield env


def flow_of(name: str, policy: str, *services: str) -> Json:
    """Give the small flow with these services besides asker and answerer, all in one image and without tables."""
    flow = changed(pair(name), "spec.deletionPolicy", policy)
    for number, extra in enumerate(services, start=2):
        flow = changed(flow, f"spec.services.{number}", service(extra, subscribes=["ASKED"]))
    for number in range(2 + len(services)):
        flow = changed(flow, f"spec.services.{number}.migrations", "None")
        flow = changed(flow, f"spec.services.{number}.image", "example/all:1")
    return flow


async def begin(env: OperatorEnv, flow: Json, uri: str) -> None:
    """Apply a flow on a database, and wait until it is ready."""
    await env.give_database(flow, uri)
    await env.apply(flow, database=False)
    await env.until_ready(flow["metadata"]["name"])


async def data(uri: str, flow: str) -> set[str]:
    """Give the schemas of services, and the flow's roles, that are there."""
    connection = await asyncpg.connect(uri)
    schemas = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_|public)'"
    roles = "SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1)"
    found = {*await connection.fetch(schemas), *await connection.fetch(roles, f"{flow}_")}
    await connection.close()
    return {row[0] for row in found}


async def told(env: OperatorEnv, reason: str) -> str:
    """Give the words of the Event with that reason, wanted to be there."""
    words: list[str] = []

    async def found() -> bool:
        words[:] = [one["message"] for one in await env.api.list("Event", env.namespace) if one["reason"] == reason]
        return bool(words)

    await until(found, f"an Event {reason}\n{env.operator.tail()}", 20)
    return words[0]


async def end(env: OperatorEnv, name: str, seconds: float = 60) -> None:
    """Delete a flow and wait until it is gone, with its jobs."""
    await env.api.delete("OrderFlow", env.namespace, name)
    await env.until_gone("OrderFlow", name, seconds)

    async def clean() -> bool:
        return {kind for kind, _ in await env.made()} <= {"KafkaTopic"}

    await until(clean, f"nothing is left\n{env.operator.tail()}", 60, every=SELDOM_S)


async def test_delete_takes_schemas_and_roles_along(working: OperatorEnv, database: str, flow_name: str) -> None:
    """All of it goes with the flow, which an Event tells; the schema of another flow in that database stays."""
    connection = await asyncpg.connect(database)
    await connection.execute("CREATE SCHEMA others; COMMENT ON SCHEMA others IS 'OrderFlow: elsewhere/other'")
    await connection.close()
    await begin(working, flow_of(flow_name, "Delete"), database)
    ours = {"asker", "answerer", f"{flow_name}_asker", f"{flow_name}_answerer"}
    assert await data(database, flow_name) == ours | {"others"}
    await end(working, flow_name)
    assert await data(database, flow_name) == {"others"}
    assert "schemas and roles are gone" in await told(working, "DataRemoved")


async def test_retain_leaves_schemas_and_roles(working: OperatorEnv, database: str, flow_name: str) -> None:
    """A flow that comes back under its name has its rows again, though it was gone."""
    flow = flow_of(flow_name, "Retain")
    await begin(working, flow, database)
    connection = await asyncpg.connect(database)
    await connection.execute("CREATE TABLE asker.kept AS SELECT 7 AS rows")
    await end(working, flow_name)
    assert await connection.fetchval("SELECT rows FROM asker.kept") == 7
    await begin(working, flow, database)
    assert await connection.fetchval("SELECT rows FROM asker.kept") == 7
    await connection.close()


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
async def test_a_service_that_leaves_takes_its_data_by_the_policy(
    working: OperatorEnv, database: str, flow_name: str, policy: str
) -> None:
    """Under Delete its schema and role go, once its pods have; what the others have stays, and it may come back."""
    await begin(working, flow_of(flow_name, policy, "third"), database)
    rest = {"asker", "answerer", f"{flow_name}_asker", f"{flow_name}_answerer"}
    for _ in range(2):
        assert await data(database, flow_name) == rest | {"third", f"{flow_name}_third"}
        await working.apply(flow_of(flow_name, policy), database=False)
        await working.until_gone("Service", f"{flow_name}-third")
        kept = {"third", f"{flow_name}_third"} if policy == "Retain" else set()
        assert await data(database, flow_name) == rest | kept
        await working.apply(flow_of(flow_name, policy, "third"), database=False)
        await working.until_ready(flow_name)


async def test_a_service_that_comes_back_at_once_has_its_tables(
    working: OperatorEnv, database: str, flow_name: str
) -> None:
    """Taken out and put back at every moment of its removal, it ends with schema and role, and the flow ready."""
    flow = flow_of(flow_name, "Delete", "third")
    await begin(working, flow, database)
    for pause in (0.2, 1, 2, 3, 4):
        await working.apply(flow_of(flow_name, "Delete"), database=False)
        await asyncio.sleep(pause)
        await working.apply(flow, database=False)
        await working.until_ready(flow_name)
        await working.settle(2)
        assert {"third", f"{flow_name}_third"} <= await data(database, flow_name), f"after {pause} s"


async def test_what_cannot_be_dropped_is_told_and_heals(working: OperatorEnv, database: str, flow_name: str) -> None:
    """A report of somebody else's depends on a schema: the flow says which; without the report it is dropped."""
    await begin(working, flow_of(flow_name, "Delete", "third"), database)
    connection = await asyncpg.connect(database)
    await connection.execute("CREATE VIEW public.report AS SELECT * FROM third.dead_letters")
    await working.apply(flow_of(flow_name, "Delete"), database=False)
    said = await working.until(flow_name, "Ready", "False", "DataLeft", seconds=150)
    assert "schema third is left" in said["message"]
    assert "report" in said["message"]
    await connection.execute("DROP VIEW public.report")
    for job in await working.api.list("Job", working.namespace, "app.kubernetes.io/component=removal"):
        await working.api.delete("Job", working.namespace, job["metadata"]["name"])
    await working.until_ready(flow_name)
    await working.until_gone("Service", f"{flow_name}-third")
    assert not await data(database, flow_name) & {"third", f"{flow_name}_third"}
    await connection.close()


async def test_a_deletion_that_cannot_be_whole_ends_and_says_what_is_left(
    working: OperatorEnv, database: str, flow_name: str
) -> None:
    """The report stays, and the schema that it needs; the Event names it, and how it is removed."""
    await begin(working, flow_of(flow_name, "Delete"), database)
    connection = await asyncpg.connect(database)
    await connection.execute("CREATE VIEW public.report AS SELECT * FROM asker.dead_letters")
    await end(working, flow_name, 180)
    words = await told(working, "TeardownIncomplete")
    assert "schema asker is left" in words
    assert "DROP SCHEMA" in words
    assert f"{flow_name}_asker" in words
    assert await data(database, flow_name) == {"asker"}
    await connection.execute("DROP VIEW public.report")
    await connection.close()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("what", ["database", "place", "Secret", "image"])
async def test_a_deletion_ends_without_the_database(
    working: OperatorEnv, database: str, flow_name: str, what: str
) -> None:
    """The database is gone or another is named, its Secret or the image is: an Event names what may be left."""
    flow, name = flow_of(flow_name, "Delete"), database.rpartition("/")[2]
    await begin(working, flow, database)
    if what == "database":
        await rename_database(database, name, f"{name}_away")
    elif what == "place":
        await working.give_database(flow, "postgresql://admin:pw@127.0.0.1:1/gone")
    elif what == "Secret":
        await working.api.delete("Secret", working.namespace, f"{flow_name}-db")
    else:
        await stall_removal(working, flow_name)
    await end(working, flow_name, 200)
    words = await told(working, "TeardownIncomplete")
    assert f"{flow_name}_asker" in words
    assert {
        "database": f"has no database {name}",
        "place": "asker, answerer had it in another database than the flow names by now",
        "Secret": f"{flow_name}-db",
        "image": "ImagePullBackOff",
    }[what] in words
    assert "pw@" not in words
    if what == "database":
        await rename_database(database, f"{name}_away", name)


async def rename_database(uri: str, old: str, new: str) -> None:
    """Call a database otherwise, by a connection to another."""
    connection = await asyncpg.connect(uri, database="postgres")
    await connection.execute(f"ALTER DATABASE {old} RENAME TO {new}")
    await connection.close()


async def stall_removal(env: OperatorEnv, name: str) -> None:
    """Have the pods of the removal job never start."""
    live = await env.flow(name) or {}
    job = removaljob.build(OrderFlow.model_validate(live), [])["metadata"]["name"]
    await env.kubelet.decide(job, Fate.IMAGE_PULL, "no such image")


@contextmanager
def member(kafka: Kafka, group: str) -> Iterator[Consumer]:
    """Open a client of a group. An admin's client ends the process when a broker has only begun to look after one."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group})
    try:
        yield consumer
    finally:
        consumer.close()


def groups(kafka: Kafka, flow: str) -> set[str]:
    """Give those of the services' consumer groups that have an offset: a group that is gone has none."""
    found = set()
    for group in (f"{flow}.{name}" for name in SERVICES):
        with member(kafka, group) as consumer:
            (kept,) = consumer.committed([TopicPartition(f"{flow}.asked", 0)], 30)
        found |= {group} if kept.offset >= 0 else set()
    return found


async def join(kafka: Kafka, flow: str, *services: str) -> None:
    """Leave an offset of each service's group, as its pods do, once the broker is ready to keep any."""

    async def kept() -> bool:
        try:
            for name in services:
                with member(kafka, f"{flow}.{name}") as consumer:
                    consumer.commit(offsets=[TopicPartition(f"{flow}.asked", 0, 1)], asynchronous=False)
            return groups(kafka, flow) == {f"{flow}.{name}" for name in services}
        except KafkaException:  # it has only begun to look for what it has kept
            return False

    await until(kept, "the broker keeps offsets", 60)


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
async def test_consumer_groups_follow_the_policy(
    working: OperatorEnv, database: str, kafka: Kafka, flow_name: str, policy: str
) -> None:
    """On a Kafka without Strimzi a service's group goes when it leaves, all others with the flow; or they stay."""
    kafka_of = {"provisioner": "Admin", "bootstrapServers": [kafka.bootstrap]}
    flow, less = (
        changed(changed(one, "spec.kafka", kafka_of), "spec.defaults", {"topic": {"partitions": 3, "replicas": 1}})
        for one in (flow_of(flow_name, policy, "third"), flow_of(flow_name, policy))
    )
    await begin(working, flow, database)
    await join(kafka, flow_name, *SERVICES)
    every = {f"{flow_name}.{name}" for name in SERVICES}
    await working.apply(less, database=False)
    await working.until_gone("Service", f"{flow_name}-third")
    assert groups(kafka, flow_name) == (every - {f"{flow_name}.third"} if policy == "Delete" else every)
    await end(working, flow_name)
    assert groups(kafka, flow_name) == (set() if policy == "Delete" else every)


async def test_a_namespace_is_not_held_up_by_data(working: OperatorEnv, database: str, flow_name: str) -> None:
    """Nothing can be made in a namespace that goes: the flow lets go, and the log says what is left."""
    await bind_everywhere(working.api, working.namespace)
    await begin(working, flow_of(flow_name, "Delete"), database)
    await working.api.delete("Namespace", "", working.namespace)

    async def gone() -> bool:
        return await working.api.get("Namespace", "", working.namespace) is None

    try:
        await until(gone, "the namespace is gone", 120)
    except AssertionError:
        left = [(kind, name) for kind, name in await working.made()]
        raise AssertionError(f"left: {left}\n{working.operator.tail()}") from None
