"""Every kind of edit while pods of the version before run and new ones never start: it widens before it narrows.

Then it is taken back in its middle, which leaves all as it was, and at last it goes through, which leaves no more than
it says.
"""

import asyncio
from collections import Counter

import pytest

from orderflow_model.loading.load import parse_flow
from orderflow_model.placement import processes
from orderflow_model.postgres_uri import PostgresUri
from orderflow_operator.reconciler.network import addresses
from orderflow_operator.resources.build_context import BuildContext, Database
from orderflow_operator.resources.desired import desired
from support.cluster.api import Json, background
from support.cluster.facts import facts
from support.cluster.operator_env import SELDOM_S, OperatorEnv, condition
from support.cluster.pod_status import Fate
from support.flow.fleet import until
from support.flow.flows import changed, pair, service

URI = "postgresql://admin:pw@db.example:5432/shop"
MOVED = "postgresql://admin:pw@elsewhere.example:6432/shop"


def trio() -> Json:
    """Give a flow whose topics go with their events: the pair, one event more, and somebody who only listens."""
    flow = changed(changed(pair(), "spec.deletionPolicy", "Delete"), "spec.events.2", {"name": "EXTRA"})
    flow = changed(flow, "spec.services.0.publishes", ["ASKED", "EXTRA"])
    flow = changed(flow, "spec.services.1.subscribes", ["ASKED", "EXTRA"])
    return changed(flow, "spec.services.2", service("watcher", subscribes=["ANSWERED", "EXTRA"]))


def renamed() -> Json:
    """Give the flow with an event renamed, which changes topics and rights of all three."""
    flow = changed(changed(trio(), "spec.events.1.name", "REPLIED"), "spec.services.0.subscribes", ["REPLIED"])
    flow = changed(flow, "spec.services.1.publishes", ["REPLIED"])
    return changed(flow, "spec.services.2.subscribes", ["REPLIED", "EXTRA"])


def without_extra() -> Json:
    """Give the flow without one event, its topic, publisher's and subscribers' rights."""
    flow = changed(changed(trio(), "spec.events", trio()["spec"]["events"][:2]), "spec.services.0.publishes", ["ASKED"])
    return changed(changed(flow, "spec.services.1.subscribes", ["ASKED"]), "spec.services.2.subscribes", ["ANSWERED"])


def replaced() -> Json:
    """Give the flow with another service in the answerer's place."""
    return changed(trio(), "spec.services.1", {**trio()["spec"]["services"][1], "name": "responder"})


NAMES = ("asker", "answerer", "watcher")
ALL_NAMES = (*NAMES, "responder")
EDITS: dict[str, Json] = {
    "an image": changed(trio(), "spec.services.0.image", "example/asker:2"),
    "an event's name": renamed(),
    "an event leaves": without_extra(),
    "a subscription leaves": changed(trio(), "spec.services.1.subscribes", ["ASKED"]),
    "a subscription comes": changed(trio(), "spec.services.0.subscribes", ["ANSWERED", "EXTRA"]),
    "a publication comes": changed(trio(), "spec.services.2.publishes", ["EXTRA"]),
    "all subscriptions leave": changed(trio(), "spec.services.0.subscribes", None),
    "a service in another's place": replaced(),
    "a service joins another": changed(replaced(), "spec.services", replaced()["spec"]["services"][:2]),
    "a port": changed(trio(), "spec.services.0.httpPort", 9090),
    "how events are delivered": changed(trio(), "spec.defaults", {"delivery": {"retries": 2}}),
    "where traces go": changed(trio(), "spec.tracing", {"endpoint": "http://collector:4317"}),
    "pods at most": changed(changed(trio(), "spec.services.1.scale.max", 9), "spec.services.1.image", "example/x:2"),
    "where the database is": changed(trio(), "spec.database.secretKeyRef.name", "elsewhere"),
}


@pytest.mark.parametrize("where", ["pods", "migration"])
@pytest.mark.parametrize("edit", EDITS)
async def test_an_edit_takes_nothing_from_pods_that_run(env: OperatorEnv, edit: str, where: str) -> None:
    """While it is stuck all that old pods count on stays; taken back it leaves no trace; gone through, no surplus."""
    flow = EDITS[edit] if where == "pods" else _of_new_images(EDITS[edit])
    uri = MOVED if edit == "where the database is" else URI
    await env.start()
    await env.apply(trio())
    await env.until_ready("pair")
    before, pods = await _facts(env), await _pods(env)
    _hold(env, where)

    await _apply(env, flow, uri)
    await env.until("pair", "Ready", "False", seconds=5)
    assert before <= (stuck := await _facts(env)), before - stuck
    assert pods <= await _pods(env)

    _release(env, where)
    await _apply(env, trio(), URI)
    await env.until_ready("pair")
    await _until(env, before)
    assert await _pods(env) == pods, "nothing was started anew"

    await _apply(env, flow, uri)
    await env.until_ready("pair")
    await _until(env, _pictured(env, flow, uri))


async def test_what_an_older_operator_made_stays_while_pods_may_need_it(env: OperatorEnv) -> None:
    """Its accounts and ConfigMaps go when all pods are of this version, and not before."""
    await env.start()
    await env.apply(pair())
    await env.until_ready("pair")
    await asyncio.to_thread(env.operator.kill)
    older = (("ServiceAccount", "pair-asker"), ("ConfigMap", "pair-asker.abcdef01"))
    for kind, name in older:
        await env.make_as_older(kind, name)
    _hold(env, "pods")
    await env.apply(changed(pair(), "spec.services.0.image", "example/asker:2"))
    await env.start()
    await env.until("pair", "Ready", "False")
    await env.settle()
    assert set(older) <= set(await env.made())
    _release(env, "pods")
    await env.apply(changed(pair(), "spec.services.0.image", "example/asker:3"))
    for kind, name in older:
        await env.until_gone(kind, name)
    await env.until_ready("pair")


CORE = {"groups": [{"name": "core", "services": ["asker", "answerer"]}]}
APART, TOGETHER = {"mode": "Apart"}, {"mode": "Together"}
MOVES: dict[str, tuple[Json, Json]] = {
    "all into one": (APART, TOGETHER),
    "all out of one": (TOGETHER, APART),
    "two into one": (APART, CORE),
    "one more into one": (CORE, {"groups": [{"name": "core", "services": ["asker", "answerer", "watcher"]}]}),
    "another with one": (CORE, {"groups": [{"name": "core", "services": ["watcher", "asker"]}]}),
}


@pytest.mark.parametrize("move", MOVES)
async def test_services_move_between_processes_while_they_serve(env: OperatorEnv, move: str) -> None:
    """Old pods leave, and requests come, when the new are ready; stuck and taken back it leaves no trace."""
    before, after = (_placed(placement) for placement in MOVES[move])
    await env.start()
    await _apply(env, before, URI)
    await env.until_ready("pair")
    there, pods = await _facts(env), await _pods(env)
    new = [process.name for process in processes(parse_flow(after))]
    async with background(_keep_serving(env)):
        for name in new:
            env.kubelet.intend(name, Fate.STARTING)
        await _apply(env, after, URI)
        await env.until("pair", "Ready", "False", seconds=5)
        assert there <= (stuck := await _facts(env)), there - stuck
        assert pods <= await _pods(env)

        for name in new:
            env.kubelet.forget(name)
        await _apply(env, before, URI)
        await env.until_ready("pair")
        await _until(env, there)
        assert await _pods(env) == pods, "nothing was started anew"

        await _apply(env, after, URI)
        await env.until_ready("pair")
        await _until(env, _pictured(env, after, URI))
    status = (await env.flow("pair") or {})["status"]
    assert [(one["name"], one["ready"]) for one in status["services"]] == [(n, 1) for n in NAMES]


async def _keep_serving(env: OperatorEnv) -> None:
    """Look again and again, and fail when a Service leads to no pod that is ready, three times in a row."""
    gaps: Counter[str] = Counter()
    while True:
        gaps = Counter({name: gaps[name] + 1 for name in await _leading_nowhere(env)})
        assert not [name for name, count in gaps.items() if count > 2], gaps
        await asyncio.sleep(0.1)


async def _leading_nowhere(env: OperatorEnv) -> list[str]:
    ready = await _pods(env)
    pods = [pod for pod in await env.api.list("Pod", env.namespace) if pod["metadata"]["name"] in ready]
    ways = {
        (*pod["metadata"]["labels"].items(), port["name"])
        for pod in pods
        for port in pod["spec"]["containers"][0]["ports"]
    }
    return [
        one["metadata"]["name"]
        for one in await env.api.list("Service", env.namespace)
        if not any({*one["spec"]["selector"].items(), one["spec"]["ports"][0]["targetPort"]} <= {*way} for way in ways)
    ]


def _placed(placement: Json) -> Json:
    """Give the flow of three with its services of one image, so placed."""
    flow = changed(trio(), "spec.placement", placement)
    for index, name in enumerate(NAMES):
        entry = flow["spec"]["services"][index]
        flow = changed(
            flow, f"spec.services.{index}", entry | {"image": "example/all:1", "command": ["python", "-m", name]}
        )
    return flow


@pytest.mark.parametrize("fate", [Fate.IMAGE_PULL, Fate.FAILED])
async def test_a_migration_that_gets_nowhere_holds_up_its_own_service_alone(env: OperatorEnv, fate: Fate) -> None:
    """By a wrong image or by its SQL: the condition names the service, and edits of all others go through."""
    await env.start()
    await env.apply(trio())
    await env.until_ready("pair")
    env.kubelet.intend("asker/migration", fate)
    flow = changed(trio(), "spec.services.0.image", "example/asker:2")
    await env.apply(flow)
    await env.until("pair", "ServicesReady", "False")
    await env.apply(changed(flow, "spec.services.1.image", "example/answerer:2"))
    await until(lambda: _runs(env, "answerer", "example/answerer:2"), "the other service is of the new version", 60)
    await until(lambda: _says(env, "service asker: the migration job: pod"), "its condition names the migration", 60)
    assert not await _runs(env, "asker", "example/asker:2")


async def _says(env: OperatorEnv, words: str) -> bool:
    """Tell whether these words are in what ServicesReady says."""
    return words in condition(await env.flow("pair") or {}, "ServicesReady").get("message", "")


async def _runs(env: OperatorEnv, name: str, image: str) -> bool:
    """Tell whether a service's pods, all of them, are ready and of an image."""
    pods = await env.api.list("Pod", env.namespace, f"orderflow.dev/service={name}")
    ready = await _pods(env)
    images = {pod["spec"]["containers"][0]["image"] for pod in pods if pod["metadata"]["name"] in ready}
    return images == {image} and all(pod["metadata"]["name"] in ready for pod in pods)


def _of_new_images(flow: Json) -> Json:
    """Give a flow with images that need a migration each before their pods."""
    made = flow
    for index, entry in enumerate(flow["spec"]["services"]):
        made = changed(made, f"spec.services.{index}.image", f"{entry['image']}.1")
    return made


async def _apply(env: OperatorEnv, flow: Json, uri: str) -> None:
    await env.give_database(flow, uri)
    await env.apply(flow, database=False)
    await env.settle(3)


def _hold(env: OperatorEnv, where: str) -> None:
    """Let no pod to come start, of services or of their migrations."""
    for name in ALL_NAMES:
        env.kubelet.intend(*((name, Fate.STARTING) if where == "pods" else (f"{name}/migration", Fate.IMAGE_PULL)))


def _release(env: OperatorEnv, where: str) -> None:
    for name in ALL_NAMES:
        env.kubelet.forget(name if where == "pods" else f"{name}/migration")


async def _facts(env: OperatorEnv) -> set[str]:
    return facts((await env.made()).values())


async def _until(env: OperatorEnv, wanted: set[str]) -> None:
    """Wait until what there is is exactly this."""

    async def holds() -> bool:
        return await _facts(env) == wanted

    try:
        await until(holds, "", 120, every=SELDOM_S)
    except AssertionError:
        found = await _facts(env)
        raise AssertionError(f"missing: {wanted - found}, too much: {found - wanted}\n{env.operator.tail()}") from None


def _pictured(env: OperatorEnv, flow: Json, uri: str) -> set[str]:
    metadata = {**flow["metadata"], "namespace": env.namespace, "uid": "uid"}
    parsed, database = parse_flow({**flow, "metadata": metadata}), PostgresUri.parse(uri)
    ports = tuple(sorted({port for _, port in addresses(parsed, database)}))
    return facts(desired(parsed, BuildContext(keda=True, database=Database.of(database), ports=ports)))


async def _pods(env: OperatorEnv) -> set[str]:
    """Give the pods of services that run ready and are not ending."""
    found = await env.api.list("Pod", env.namespace, "orderflow.dev/service")
    alive = (pod for pod in found if "deletionTimestamp" not in pod["metadata"])
    ready = {"type": "Ready", "status": "True"}
    return {
        pod["metadata"]["name"]
        for pod in alive
        if any(ready.items() <= one.items() for one in pod.get("status", {}).get("conditions", ()))
    }
