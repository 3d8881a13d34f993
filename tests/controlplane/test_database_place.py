"""A flow whose database moves: pods of before keep theirs until they have ended, and no data is left behind unsaid."""

import base64
import json

from support.cluster.api import Json
from support.cluster.operator_env import OperatorEnv
from support.cluster.pod_status import Fate
from support.flow.fleet import until
from support.flow.flows import changed, pair

HERE, THERE = "postgresql://admin:pw@here.example:5432/shop", "postgresql://admin:pw@there.example:5432/shop"


async def urls(env: OperatorEnv) -> dict[str, str]:
    """Give the host of each URL that stands in a service's Secret, by its key."""
    found = await env.api.get("Secret", env.namespace, "pair-asker.database") or {}
    decoded = {key: base64.b64decode(value).decode() for key, value in found["data"].items() if key != "password"}
    return {key: url.partition("@")[2].partition(":")[0] for key, url in decoded.items()}


async def key_of_pods(env: OperatorEnv) -> str:
    """Give by which key the Deployment's pods find their URL."""
    found = await env.api.get("Deployment", env.namespace, "pair-asker") or {}
    (container,) = found["spec"]["template"]["spec"]["containers"]
    (source,) = [one["valueFrom"] for one in container["env"] if one["name"] == "ORDERFLOW_DATABASE_URL"]
    return str(source["secretKeyRef"]["key"])


async def moved(env: OperatorEnv) -> set[str]:
    """Give the services whose migration jobs look for their data at a new place."""
    jobs: list[Json] = await env.api.list("Job", env.namespace)
    notes = [one["spec"]["template"]["metadata"].get("annotations", {}).get("orderflow.dev/migration") for one in jobs]
    return {service for note in notes if note for service in json.loads(note).get("moved", ())}


async def at_home(env: OperatorEnv, flow: Json) -> None:
    """Have the flow ready on its first database."""
    await env.start()
    await env.give_database(flow, HERE)
    await env.apply(flow, database=False)
    await env.until_ready("pair")
    await env.settle(2)


async def test_pods_keep_their_database_until_those_of_another_are_ready(env: OperatorEnv) -> None:
    """A pod of before that is started anew meanwhile finds its URL where it was; afterwards that is gone."""
    await at_home(env, pair())
    before = await key_of_pods(env)
    assert await urls(env) == {before: "here.example"}
    await env.kubelet.decide("migration", Fate.FAILED, "migration: schema asker is not in this database")
    await env.give_secret("pair-other-db", {"uri": THERE})
    await env.apply(changed(pair(), "spec.database.secretKeyRef.name", "pair-other-db"), database=False)
    said = await env.until("pair", "Ready", "False", "Error")
    assert "schema asker is not in this database" in said["message"]
    await env.settle(2)
    assert await moved(env) == {"asker", "answerer"}
    assert await key_of_pods(env) == before
    assert sorted((await urls(env)).values()) == ["here.example", "there.example"]
    assert (await urls(env))[before] == "here.example"
    await env.kubelet.decide("migration", Fate.SUCCEEDED)
    for job in await env.api.list("Job", env.namespace):
        await env.api.delete("Job", env.namespace, job["metadata"]["name"])
    await env.until_ready("pair")
    now = await key_of_pods(env)
    assert now != before

    async def contracted() -> bool:
        return await urls(env) == {now: "there.example"}

    await until(contracted, "the place of before is left")
    await env.settle(2)
    assert await env.settle(8) == await env.settle(2), "nothing is written at rest"


async def test_a_move_is_taken_back_by_the_old_resource(env: OperatorEnv) -> None:
    """No pod has followed, none starts anew, and what was made for the move is gone."""
    await at_home(env, pair())
    before = await key_of_pods(env)
    await env.kubelet.decide("migration", Fate.FAILED, "migration: schema asker is not in this database")
    await env.give_secret("pair-other-db", {"uri": THERE})
    await env.apply(changed(pair(), "spec.database.secretKeyRef.name", "pair-other-db"), database=False)
    await env.until("pair", "Ready", "False", "Error")
    await env.kubelet.decide("migration", Fate.SUCCEEDED)
    await env.apply(pair(), database=False)
    await env.until_ready("pair")
    assert await key_of_pods(env) == before
    found = await env.api.get("Deployment", env.namespace, "pair-asker") or {}
    assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"

    async def contracted() -> bool:
        return await urls(env) == {before: "here.example"}

    await until(contracted, "the other place is left")


async def test_a_flow_that_goes_says_which_data_is_in_another_database(env: OperatorEnv) -> None:
    """Under Delete: the job could only drop what is where the flow points by now, and that is nothing."""
    flow = changed(pair(), "spec.deletionPolicy", "Delete")
    await at_home(env, flow)
    await env.kubelet.decide("migration", Fate.FAILED, "migration: schema asker is not in this database")
    await env.give_database(flow, THERE)
    await env.until("pair", "Ready", "False", "Error")
    await env.api.delete("OrderFlow", env.namespace, "pair")
    await env.until_gone("OrderFlow", "pair", seconds=90)
    events = await env.api.list("Event", env.namespace)
    (left,) = [one["message"] for one in events if one["reason"] == "TeardownIncomplete"]
    assert "asker, answerer had it in another database than the flow names by now" in left
