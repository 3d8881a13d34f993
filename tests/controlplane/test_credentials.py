"""What a flow proves itself with is looked at all the time, and followed by roles, Kafka users and pods."""

import base64

import pytest

from support.cluster.operator_env import OperatorEnv
from support.cluster.pod_status import Fate
from support.cluster.strimzi import Refused
from support.flow.fleet import until
from support.flow.flows import pair

SECONDS = 60
MARK = "orderflow.dev/credentials-hash"


@pytest.fixture
async def steady(ready: OperatorEnv) -> OperatorEnv:
    """The small flow, ready and at rest."""
    await ready.settle(2)
    return ready


async def marks(env: OperatorEnv) -> dict[str, str]:
    """Give the mark of each Deployment's pods."""
    found = await env.api.list("Deployment", env.namespace)
    return {item["metadata"]["name"]: item["spec"]["template"]["metadata"]["annotations"][MARK] for item in found}


async def jobs(env: OperatorEnv) -> dict[str, str]:
    """Give the name of each service's migration job."""
    found = await env.api.list("Job", env.namespace)
    return {item["metadata"]["labels"]["orderflow.dev/service"]: item["metadata"]["name"] for item in found}


async def test_a_roles_secret_made_anew_sets_the_role_and_moves_its_pods(steady: OperatorEnv) -> None:
    """The Secret is drawn again, a migration job sets the password, and the pods of that service alone start anew."""
    before, migrated = await marks(steady), await jobs(steady)
    await steady.api.delete("Secret", steady.namespace, "pair-asker.database")

    async def followed() -> bool:
        now = await marks(steady)
        return now["pair-asker"] != before["pair-asker"] and (await jobs(steady))["asker"] != migrated["asker"]

    await until(followed, "a job for the new password, and pods that have it", SECONDS)
    assert (await jobs(steady))["answerer"] == migrated["answerer"]
    assert (await marks(steady))["pair-answerer"] == before["pair-answerer"]
    await steady.until_ready("pair")


async def test_pods_follow_a_users_secret_that_strimzi_makes_anew(steady: OperatorEnv) -> None:
    """Another password at Kafka is another version of that service's pods, and no migration."""
    before, migrated = await marks(steady), await jobs(steady)
    values = {"password": base64.b64encode(b"another").decode()}
    await steady.api.patch("Secret", steady.namespace, "pair-asker", {"data": values})

    async def followed() -> bool:
        return (await marks(steady))["pair-asker"] != before["pair-asker"]

    await until(followed, "pods that have the new password", SECONDS)
    assert (await marks(steady))["pair-answerer"] == before["pair-answerer"]
    assert await jobs(steady) == migrated
    await steady.until_ready("pair")


async def test_no_pod_starts_before_its_user_has_a_password(env: OperatorEnv) -> None:
    """A flow rolls out once: a Deployment is made when Strimzi has made the user's Secret, and not written again."""
    env.strimzi.refusals["pair-asker"] = Refused("KafkaError", "too many users")
    await env.start()
    await env.apply(pair())
    await env.settle(3)
    assert set(await marks(env)) == {"pair-answerer"}
    del env.strimzi.refusals["pair-asker"]
    await env.strimzi.round()
    await env.until_ready("pair")
    await env.settle(3)
    found = await env.api.list("Deployment", env.namespace)
    assert {item["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for item in found} == {"1"}


async def test_an_admins_wrong_password_is_told_and_a_right_one_mends_it(steady: OperatorEnv) -> None:
    """The migration job comes in by each new one at once: what runs goes on, and the flow is not called ready."""
    await steady.kubelet.decide("migration", Fate.FAILED, 'password authentication failed for user "admin"')
    await steady.give_database(pair(), "postgresql://admin:wrong@db.example:5432/shop")
    said = await steady.until("pair", "Ready", "False", "Error", SECONDS)
    assert 'password authentication failed for user "admin"' in said["message"]
    before = await marks(steady)
    await steady.kubelet.decide("migration", Fate.SUCCEEDED)
    await steady.give_database(pair(), "postgresql://admin:right@db.example:5432/shop")
    await steady.until_ready("pair", SECONDS)
    assert await marks(steady) == before, "no pod starts anew for it"
