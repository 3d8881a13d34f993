"""The double of Strimzi's user operator does as the real one, on a real broker (STRIMZI.md lists what)."""

import asyncio
import base64
from contextlib import AbstractAsyncContextManager

import pytest

from support.cluster.api import Api, Json, background
from support.cluster.kafka_rights import KafkaRights
from support.cluster.operator_env import condition
from support.cluster.strimzi import Refused, Strimzi
from support.flow.fleet import until
from support.tools.names import unique_name
from support.tools.secure_kafka import SecureKafka

RULE = {"type": "allow", "resource": {"type": "topic", "name": "anything"}, "operations": ["Read", "Write"]}
RULES = {("topic", "anything", "Read"), ("topic", "anything", "Write")}


class Users:
    """A namespace with the double, and the broker whose users it owns."""

    def __init__(self, api: Api, namespace: str, kafka: SecureKafka) -> None:
        self.api = api
        self.namespace = namespace
        self.broker = kafka
        self.kafka = KafkaRights(kafka.bootstrap)
        self.strimzi = Strimzi(api, namespace, self.kafka)

    def at_work(self) -> AbstractAsyncContextManager[None]:
        """Let the double work during the body."""
        return background(self.strimzi.run())

    async def create(self, name: str, annotations: Json | None = None) -> None:
        """Make a KafkaUser with one rule."""
        labels = {"strimzi.io/cluster": "events", "of-the": "user", "app.kubernetes.io/managed-by": "somebody"}
        metadata = {"name": name, "labels": labels, "annotations": annotations or {}}
        spec = {"authentication": {"type": "scram-sha-512"}, "authorization": {"type": "simple", "acls": [RULE]}}
        body = {"apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaUser", "metadata": metadata, "spec": spec}
        await self.api.create(body, self.namespace)

    async def item(self, name: str) -> Json:
        """Give a KafkaUser, empty where there is none."""
        return await self.api.get("KafkaUser", self.namespace, name) or {}

    async def until(self, name: str, kind: str) -> Json:
        """Wait until a condition is there; give it."""

        async def holds() -> bool:
            return bool(condition(await self.item(name), kind))

        await until(holds, f"{name} is {kind}", 30)
        return condition(await self.item(name), kind)

    async def secret(self, name: str) -> Json:
        """Give a Secret, empty where there is none."""
        return await self.api.get("Secret", self.namespace, name) or {}

    async def password(self, name: str) -> str:
        """Give the password that a Secret tells, empty where it tells none."""
        return base64.b64decode((await self.secret(name)).get("data", {}).get("password", "")).decode()

    async def may(self, name: str) -> set[tuple[str, str, str]]:
        """Give the rules of a user in Kafka."""
        return await asyncio.to_thread(self.kafka.rules, name)

    async def known(self, name: str) -> bool:
        """Tell whether Kafka knows a password or a rule of a user."""
        return name in await asyncio.to_thread(self.kafka.principals)


@pytest.fixture
def users(api: Api, namespace: str, secure_kafka: SecureKafka) -> Users:
    """The double, not at work."""
    return Users(api, namespace, secure_kafka)


@pytest.fixture
def name() -> str:
    """The name of a user that nobody else has."""
    return unique_name("u-")


async def test_a_secret_has_the_labels_of_its_user_and_is_owned_by_it(users: Users, name: str) -> None:
    """All of the KafkaUser's labels are on it but those of Kubernetes' own domain, which are Strimzi's."""
    async with users.at_work():
        await users.create(name)
        await users.until(name, "Ready")
        found, user = (await users.secret(name))["metadata"], (await users.item(name))["metadata"]
    assert found["labels"]["of-the"] == "user"
    assert found["labels"]["strimzi.io/cluster"] == "events"
    assert found["labels"]["strimzi.io/kind"] == "KafkaUser"
    assert found["labels"]["app.kubernetes.io/managed-by"] == "strimzi-user-operator"
    assert [owner["uid"] for owner in found["ownerReferences"]] == [user["uid"]]
    assert set((await users.secret(name))["data"]) == {"password", "sasl.jaas.config"}


async def test_anothers_secret_of_the_name_is_taken_and_deleted_with_the_user(users: Users, name: str) -> None:
    """Its keys are replaced, it is owned from then on, and it goes."""
    metadata = {"name": name, "labels": {"of-the": "platform"}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"password": "p", "uri": "u"}}
    await users.api.create(secret, users.namespace)
    async with users.at_work():
        await users.create(name)
        await users.until(name, "Ready")
        found = await users.secret(name)
        assert set(found["data"]) == {"password", "sasl.jaas.config"}
        assert await users.password(name) != "p", "a Secret without the labels is not seen before it is replaced"
        assert found["metadata"]["labels"]["of-the"] == "user"
        assert found["metadata"]["ownerReferences"]
        await users.api.delete("KafkaUser", users.namespace, name)
        await until(lambda: collected(users, name), "the Secret is gone")


async def test_a_deleted_secret_is_drawn_anew_and_the_old_password_is_refused(users: Users, name: str) -> None:
    """Without an edit or a round another password stands in the Secret and in Kafka."""
    async with users.at_work():
        await users.create(name)
        await users.until(name, "Ready")
        before = await users.password(name)
        await users.api.delete("Secret", users.namespace, name)

        async def anew() -> bool:
            return await users.password(name) not in ("", before)

        await until(anew, "there is another password")
        after = await users.password(name)
        await users.strimzi.round()
        await until(lambda: accepted(users, name, after), "the new password is accepted")
        assert not await accepted(users, name, before)
        assert await users.password(name) == after, "once drawn, it stays"


async def accepted(users: Users, name: str, password: str) -> bool:
    """Tell whether Kafka lets a user in."""
    return await asyncio.to_thread(users.broker.admits, name, password)


async def test_a_password_written_into_the_secret_is_the_users(users: Users, name: str) -> None:
    """Who may edit the Secret may set the password."""
    async with users.at_work():
        await users.create(name)
        await users.until(name, "Ready")
        chosen = base64.b64encode(b"chosen-by-hand").decode()
        await users.api.patch("Secret", users.namespace, name, {"data": {"password": chosen}})
        await until(lambda: accepted(users, name, "chosen-by-hand"), "it is accepted")

        async def told() -> bool:
            jaas = (await users.secret(name))["data"]["sasl.jaas.config"]
            return b"chosen-by-hand" in base64.b64decode(jaas)

        await until(told, "the other key follows")


async def test_a_round_restores_rules_and_credentials(users: Users, name: str) -> None:
    """A rule taken away, one given and a password deleted behind its back are as the resource says again."""
    async with users.at_work():
        await users.create(name)
        await users.until(name, "Ready")
        other = {"resource": {"type": "group", "name": "g"}, "operations": ["Read"]}

        async def altered() -> bool:
            """Alter it, again where the look that follows the operator's own answer has just put it right."""
            await asyncio.to_thread(users.kafka.ensure_user, name, "x", [other])
            return await users.may(name) == {("group", "g", "Read")}

        async def restored() -> bool:
            return await users.may(name) == RULES

        await until(altered, "the broker has heard of it")
        await users.strimzi.round()
        await until(restored, "the rules are back")
        await asyncio.to_thread(users.kafka.forget, name)
        await users.strimzi.round()
        await until(restored, "the rules are back")
        password = await users.password(name)
        await until(lambda: accepted(users, name, password), "so is the password")


async def test_a_round_ends_users_that_no_resource_names(users: Users, name: str) -> None:
    """Password and rules of a stranger go, and a Secret that happens to have the stranger's name."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"k": "v"}}
    users.strimzi = Strimzi(users.api, users.namespace, users.kafka, period=1)
    await asyncio.to_thread(users.kafka.ensure_user, name, "x", [RULE])
    await users.api.create(secret, users.namespace)
    async with users.at_work():

        async def gone() -> bool:
            return not await users.known(name) and not await users.secret(name)

        await until(gone, "the stranger is gone")


async def test_a_deleted_user_takes_password_and_rules_along(users: Users, name: str) -> None:
    """Nobody can log in as it, and a successor of the name has nothing of it."""
    async with users.at_work():
        await users.create(name)
        await users.until(name, "Ready")
        assert await users.known(name)
        await users.api.delete("KafkaUser", users.namespace, name)

        async def gone() -> bool:
            return not await users.known(name)

        await until(gone, "Kafka does not know it")


async def test_a_user_deleted_while_strimzi_is_down_goes_at_the_next_round(users: Users, name: str) -> None:
    """A KafkaUser has no finalizer: it and its Secret go by themselves, and what it had in Kafka later."""
    async with users.at_work():
        await users.create(name)
        await users.until(name, "Ready")
    await users.api.delete("KafkaUser", users.namespace, name)
    assert not await users.item(name)
    await until(lambda: collected(users, name), "the owned Secret is collected")
    async with users.at_work():
        await asyncio.sleep(1)
        assert await users.known(name)
        await users.strimzi.round()

        async def gone() -> bool:
            return not await users.known(name)

        await until(gone, "Kafka does not know it")


async def collected(users: Users, name: str) -> bool:
    """Tell whether a Secret is gone."""
    return not await users.secret(name)


async def test_a_user_of_another_cluster_ends(users: Users, name: str) -> None:
    """For the operator of the first cluster, a KafkaUser that gets another label is gone."""
    async with users.at_work():
        await users.create(name)
        await users.until(name, "Ready")
        labels = {"labels": {"strimzi.io/cluster": "others"}}
        await users.api.patch("KafkaUser", users.namespace, name, {"metadata": labels})

        async def gone() -> bool:
            return not await users.known(name) and not await users.secret(name)

        await until(gone, "user and Secret are gone")


async def test_a_paused_user_says_so_and_nothing_else(users: Users, name: str) -> None:
    """Neither Ready nor user name nor Secret is told, and none is made."""
    async with users.at_work():
        await users.create(name, {"strimzi.io/pause-reconciliation": "true"})
        await users.until(name, "ReconciliationPaused")
        status = (await users.item(name))["status"]
        assert [one["type"] for one in status["conditions"]] == ["ReconciliationPaused"]
        assert not {"username", "secret"} & set(status)
        assert status["observedGeneration"] == 0
        assert not await users.secret(name)
        assert not await users.known(name)
        annotations = {"annotations": {"strimzi.io/pause-reconciliation": None}}
        await users.api.patch("KafkaUser", users.namespace, name, {"metadata": annotations})
        await users.until(name, "Ready")


async def test_a_user_that_cannot_be_made_is_not_ready_and_heals_by_itself(users: Users, name: str) -> None:
    """The condition is NotReady=True, not Ready=False; without an edit the next round makes the user."""
    refusals = {name: Refused("", "the controller is away")}
    users.strimzi.refusals.update(refusals)
    async with users.at_work():
        await users.create(name)
        told = await users.until(name, "NotReady")
        assert (told["status"], told["message"]) == ("True", "the controller is away")
        assert not condition(await users.item(name), "Ready")
        users.strimzi.refusals.clear()
        await users.strimzi.round()
        await users.until(name, "Ready")
        assert not condition(await users.item(name), "NotReady")


async def test_a_secret_of_a_type_that_cannot_change_keeps_a_user_from_being_ready(users: Users, name: str) -> None:
    """Kubernetes refuses to let a Secret be of another type; the KafkaUser says so."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "kubernetes.io/basic-auth"}
    await users.api.create(secret | {"stringData": {"username": "u", "password": "p"}}, users.namespace)
    async with users.at_work():
        await users.create(name)
        told = await users.until(name, "NotReady")
    assert name in told["message"]
    assert await users.password(name) == "p"
