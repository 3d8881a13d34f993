"""Ready is falsified by each single part that is broken, and Degraded by what a flow works without; both heal."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import pytest

from support.cluster.api import Json, background
from support.cluster.operator_env import OperatorEnv
from support.cluster.pod_status import Fate
from support.cluster.strimzi import Refused, Strimzi
from support.flow.fleet import until
from support.flow.flows import changed, pair, service

SECONDS = 60
TOPIC, USER = "pair.asked", "pair-asker"
PAUSE, MANAGED = "strimzi.io/pause-reconciliation", "strimzi.io/managed"

Act = Callable[[OperatorEnv], Awaitable[object]]


class Case(NamedTuple):
    """What is broken and mended, and what is to be said meanwhile: condition, status, reason, words."""

    breaks: Act
    said: tuple[str, str, str, str]
    heals: Act


def annotated(kind: str, name: str, annotation: str, value: str | None) -> Act:
    """Put an annotation on an object, or take it off."""
    change = {"metadata": {"annotations": {annotation: value}}}
    return lambda env: env.api.patch(kind, env.namespace, name, change)


def fares(whose: str, fate: Fate, said: str = "") -> Act:
    """Let pods fare so."""
    return lambda env: env.kubelet.decide(whose, fate, said)


def refuses(topic: str, refused: Refused | None) -> Act:
    """Let Strimzi refuse something, or do it again."""

    async def act(env: OperatorEnv) -> None:
        if refused:
            env.strimzi.refusals[topic] = refused
        else:
            del env.strimzi.refusals[topic]
        await env.strimzi.round()

    return act


def database(uri: str) -> Act:
    """Write the database's admin URI."""
    return lambda env: env.give_database(pair(), uri)


def scaled(status: str, reason: str, message: str = "") -> Act:
    """Let KEDA say so of its object."""

    async def act(env: OperatorEnv) -> None:
        found = await env.api.get("ScaledObject", env.namespace, "pair-answerer") or {}
        told = {"type": "Ready", "status": status, "reason": reason, "message": message}
        await env.api.set_status(found, {"conditions": [told]})

    return act


def paused(status: str) -> Act:
    """Let KEDA say whether somebody paused its object."""

    async def act(env: OperatorEnv) -> None:
        found = await env.api.get("ScaledObject", env.namespace, "pair-answerer") or {}
        ready = {"type": "Ready", "status": "True", "reason": "ScaledObjectReady", "message": ""}
        told = {"type": "Paused", "status": status, "reason": "ScaledObjectPaused", "message": "it is paused"}
        await env.api.set_status(found, {"conditions": [ready, told]})

    return act


async def too_few(env: OperatorEnv) -> None:
    """Ask for two pods at least where KEDA does not act."""
    await env.apply(AT_LEAST_TWO, database=False)
    await env.settle(2)
    await scaled("False", "ScaledObjectCheckFailed", "no such broker")(env)


async def enough(env: OperatorEnv) -> None:
    """Let KEDA act."""
    await scaled("True", "ScaledObjectReady")(env)
    await env.api.patch("Deployment", env.namespace, "pair-answerer", {"spec": {"replicas": 2}})


def short_of_pods(flow: Json) -> Act:
    """Edit the flow where a quota lets nobody have another pod."""

    async def act(env: OperatorEnv) -> None:
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}}
        await env.api.apply(quota | {"spec": {"hard": {"pods": "1"}}}, env.namespace)
        await asyncio.sleep(2)  # the quota's own controller counts first
        await env.apply(flow, database=False)

    return act


async def delete_quota(env: OperatorEnv) -> None:
    """Let everybody have pods again."""
    await env.api.delete("ResourceQuota", env.namespace, "few")


async def delete_database(env: OperatorEnv) -> None:
    """Take the admin's Secret away."""
    await env.api.delete("Secret", env.namespace, "pair-db")


async def disguise(env: OperatorEnv) -> None:
    """Start a pod that looks like one of a service's two, of an owner without replicas: no budget can count it."""
    await env.apply(AT_LEAST_TWO, database=False)
    await enough(env)
    await env.until_ready("pair")
    pods = await env.api.list("Pod", env.namespace)
    like = next(one for one in pods if one["metadata"]["labels"].get("orderflow.dev/service") == "answerer")
    labels = {key: value for key, value in like["metadata"]["labels"].items() if key != "pod-template-hash"}
    owner = await env.api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}}, env.namespace)
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    metadata = {"name": "disguised", "labels": labels, "ownerReferences": [reference | {"controller": True}]}
    spec = {key: like["spec"][key] for key in ("containers", "securityContext", "volumes")}
    await env.api.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, env.namespace)


async def unmask(env: OperatorEnv) -> None:
    """Take that pod away."""
    await env.api.delete("Pod", env.namespace, "disguised")


async def pause(env: OperatorEnv) -> None:
    """Pause a service's rollout, as kubectl does, before an edit."""
    await env.api.patch("Deployment", env.namespace, "pair-asker", {"spec": {"paused": True}})
    await env.apply(NEW_ENV, database=False)


async def resume(env: OperatorEnv) -> None:
    """Let it go on."""
    await env.api.patch("Deployment", env.namespace, "pair-asker", {"spec": {"paused": None}})


NEW_IMAGE = changed(pair(), "spec.services.0.image", "example/asker:2")
ANOTHER_IMAGE = changed(pair(), "spec.services.0.image", "example/asker:3")
NEW_ENV = changed(pair(), "spec.services.0.env", [{"name": "X", "value": "1"}])
AT_LEAST_TWO = changed(pair(), "spec.services.1.scale", {"min": 2, "max": 3})
OTHER_KAFKA = changed(pair(), "spec.kafka.cluster", "elsewhere")


async def fail_migration(env: OperatorEnv) -> None:
    """Bring a version whose migration fails."""
    await env.kubelet.decide("migration", Fate.FAILED, "migration failed: no such column")
    await env.apply(NEW_IMAGE, database=False)


async def mend_migration(env: OperatorEnv) -> None:
    """Mend what it failed of, and delete the job as the message says."""
    await env.kubelet.decide("migration", Fate.SUCCEEDED)
    for job in await env.api.list("Job", env.namespace):
        await env.api.delete("Job", env.namespace, job["metadata"]["name"])


RIGHT = "postgresql://admin:pw@db.example:5432/shop"
CASES = {
    "a service's pods crash": Case(
        fares("asker", Fate.CRASH_LOOP, "orderflow: Kafka at k:9092: authentication failed"),
        ("Ready", "False", "CrashLoopBackOff", "service asker: pod pair-asker"),
        fares("asker", Fate.READY),
    ),
    "a service's image is not there": Case(
        fares("asker", Fate.IMAGE_PULL), ("Ready", "False", "ImagePullBackOff", "asker"), fares("asker", Fate.READY)
    ),
    "no node has room for a service": Case(
        fares("asker", Fate.UNSCHEDULABLE, "0/3 nodes are available: 3 Insufficient cpu."),
        ("Ready", "False", "Unschedulable", "Insufficient cpu"),
        fares("asker", Fate.READY),
    ),
    "what a pod refers to is gone": Case(
        fares("asker", Fate.CONFIG_MISSING, 'secret "pair-asker" not found'),
        ("Ready", "False", "CreateContainerConfigError", 'secret "pair-asker" not found'),
        fares("asker", Fate.READY),
    ),
    "a migration fails": Case(
        fail_migration, ("Ready", "False", "Error", "the migration job: pod pair-migrate-"), mend_migration
    ),
    "a quota refuses a service's pods": Case(
        short_of_pods(NEW_ENV), ("Ready", "False", "FailedCreate", "exceeded quota: few"), delete_quota
    ),
    "a quota refuses the migration's pod": Case(
        short_of_pods(ANOTHER_IMAGE), ("Ready", "False", "FailedCreate", "exceeded quota: few"), delete_quota
    ),
    "KEDA cannot scale": Case(
        scaled("False", "ScaledObjectCheckFailed", "no such broker"),
        ("Degraded", "True", "ScaledObjectCheckFailed", "ScaledObject pair-answerer does not act: no such broker"),
        scaled("True", "ScaledObjectReady"),
    ),
    "KEDA cannot give a service its fewest pods": Case(
        too_few,
        ("Ready", "False", "ScaledObjectCheckFailed", "answerer: 1 of at least 2 pods: ScaledObject pair-answerer"),
        enough,
    ),
    "a budget cannot count the pods": Case(
        disguise, ("Degraded", "True", "SyncFailed", "PodDisruptionBudget pair-answerer does not act: "), unmask
    ),
    "a rollout is paused": Case(
        pause, ("Ready", "False", "DeploymentPaused", "kubectl rollout resume lets it go on"), resume
    ),
    "KEDA is told to pause": Case(
        paused("True"),
        ("Degraded", "True", "ScaledObjectPaused", "ScaledObject pair-answerer does not act: it is paused"),
        paused("False"),
    ),
    "a topic is refused": Case(
        refuses(TOPIC, Refused("NotSupported", "Decreasing partitions is not supported")),
        ("Ready", "False", "NotSupported", "topic pair.asked: Decreasing partitions"),
        refuses(TOPIC, None),
    ),
    "a topic is paused": Case(
        annotated("KafkaTopic", TOPIC, PAUSE, "true"),
        ("Ready", "False", "ReconciliationPaused", PAUSE),
        annotated("KafkaTopic", TOPIC, PAUSE, None),
    ),
    "a topic is unmanaged": Case(
        annotated("KafkaTopic", TOPIC, MANAGED, "false"),
        ("Ready", "False", "Unmanaged", MANAGED),
        annotated("KafkaTopic", TOPIC, MANAGED, None),
    ),
    "a user is refused": Case(
        refuses(USER, Refused("KafkaError", "too many users")),
        ("Ready", "False", "ExecutionException", "user pair-asker: too many users"),
        refuses(USER, None),
    ),
    "a user is paused": Case(
        annotated("KafkaUser", USER, PAUSE, "true"),
        ("Ready", "False", "ReconciliationPaused", PAUSE),
        annotated("KafkaUser", USER, PAUSE, None),
    ),
    "the admin's Secret is gone": Case(
        delete_database, ("Ready", "False", "DatabaseSecretMissing", "Secret pair-db"), database(RIGHT)
    ),
    "the admin's URI is none": Case(
        database("mysql://x"), ("Ready", "False", "DatabaseSecretInvalid", "Secret pair-db"), database(RIGHT)
    ),
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
async def test_each_broken_part_is_told_within_a_minute_and_heals(lasting: OperatorEnv, case: Case) -> None:
    """The condition names the part and why; when it is mended, the flow is as before by itself."""
    await lasting.apply(pair())
    await lasting.until_ready("pair")
    await case.breaks(lasting)
    kind, status, reason, words = case.said
    said = await lasting.until("pair", kind, status, reason, SECONDS)
    assert words in said["message"]
    await case.heals(lasting)
    await lasting.until_ready("pair")
    await lasting.until("pair", "Degraded", "False", seconds=SECONDS)


async def test_what_strimzi_does_not_take_up_is_told_and_heals(env: OperatorEnv) -> None:
    """Its operators know no Kafka of that name, or look elsewhere: both are named, for nobody can tell them apart."""
    await env.start()
    await env.apply(OTHER_KAFKA)
    said = await env.until("pair", "Ready", "False", "NotTakenUp", SECONDS)
    assert "the Kafka elsewhere" in said["message"]
    assert f"namespace {env.namespace}" in said["message"]
    async with background(Strimzi(env.api, env.namespace, cluster="elsewhere").run()):
        await env.until_ready("pair")


async def test_an_autoscaler_without_metrics_is_told_beside_ready(env: OperatorEnv) -> None:
    """The cluster's own controller says that nobody measures; the flow works with the pods it says at least."""
    ticker = service("ticker", publishes=["ASKED"], scale={"min": 2, "max": 3})
    await env.start()
    await env.apply(changed(pair(), "spec.services.2", ticker))
    said = await env.until("pair", "Degraded", "True", "FailedGetResourceMetric", SECONDS)
    assert "HorizontalPodAutoscaler pair-ticker does not act" in said["message"]
    assert "metrics-server" in (await env.until_ready("pair"))["message"]
    await env.apply(pair(), database=False)
    await env.until("pair", "Degraded", "False", seconds=SECONDS)


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (annotated("KafkaTopic", TOPIC, PAUSE, "true"), "ReconciliationPaused"),
        (annotated("KafkaUser", USER, PAUSE, "true"), "ReconciliationPaused"),
        (refuses(TOPIC, Refused("NotSupported", "Decreasing partitions is not supported")), "NotSupported"),
        (refuses(TOPIC, Refused("KafkaError", "Invalid value")), "KafkaError"),
    ],
    ids=["topic paused", "user paused", "NotSupported", "KafkaError"],
)
async def test_a_broken_part_is_an_event_too(env: OperatorEnv, act: Act, reason: str) -> None:
    """Whoever describes the flow sees when it turned, once a reason."""
    await env.start()
    await env.apply(pair())
    await env.until_ready("pair")
    await act(env)
    await env.until("pair", "Ready", "False", reason, SECONDS)

    async def told() -> list[str]:
        events = await env.api.list("Event", env.namespace)
        ours = [one for one in events if one["involvedObject"]["kind"] == "OrderFlow"]
        return [one["type"] for one in ours if one["reason"] == reason]

    await until(told, f"an Event with {reason}", SECONDS)  # it is made after the status
    assert await told() == ["Warning"]
