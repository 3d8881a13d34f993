"""A service whose user may not read a topic, or is not let in any more, on a real Kafka with an authorizer."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from orderflow_model import environment
from orderflow_model.flow import OrderFlow
from orderflow_operator.kafka.acls import service_acls, service_user
from orderflow_runtime.core.event_log import Producer
from orderflow_runtime.kafka import reading
from orderflow_runtime.kafka.kafka_log import KafkaLog
from orderflow_runtime.observability.metrics_page import render
from support.cluster.kafka_rights import Json, KafkaRights
from support.flow.fleet import until
from support.runtime.real import Site, sample_flow
from support.runtime.sample_service import Pat, Put
from support.tools.secure_kafka import SecureKafka

PASSWORD = "sample-password"  # noqa: S105 - of a user that lives for one test


class Entrusted(Site):
    """A site whose service comes in by its own user; `send` is somebody's who may do everything."""

    def __init__(self, flow: OrderFlow, kafka: SecureKafka, admin_url: str, folder: Path) -> None:
        super().__init__(flow, kafka.bootstrap, admin_url, folder)
        self._rights = KafkaRights(kafka.bootstrap)
        self._user = service_user(flow, "sample")
        self._rules: list[Json] = []
        self.put = self.config.subscribes[0].topic
        (authority := folder / "ca.pem").write_text(kafka.ca)
        self.fleet.extra_env |= {
            environment.KAFKA_BOOTSTRAP: kafka.secure_bootstrap,
            environment.KAFKA_SECURITY_PROTOCOL: "SASL_SSL",
            environment.KAFKA_USERNAME: self._user,
            environment.KAFKA_PASSWORD: PASSWORD,
            environment.KAFKA_CA_FILE: str(authority),
        }

    async def entrust(self, on_put: Sequence[str]) -> None:
        """Give the rights that the operator would give, but on the topic of PUT only these."""
        access = service_acls(self.fleet.flow, self.fleet.flow.service("sample"))
        given = {(one.type.value, one.name): [*map(str, one.operations)] for one in access}
        given["topic", self.put] = [*on_put]
        self._rules = [
            {"resource": {"type": kind, "name": name}, "operations": verbs} for (kind, name), verbs in given.items()
        ]
        await self.let_in_by(PASSWORD)

    async def let_in_by(self, password: str) -> None:
        """Set the user's password, and leave its rights as they are."""
        await asyncio.to_thread(self._rights.ensure_user, self._user, password, self._rules)

    async def withdraw(self) -> None:
        """End, and leave no user behind."""
        await self.close()
        await asyncio.to_thread(self._rights.forget, self._user)


@pytest.fixture
async def entrusted(
    secure_kafka: SecureKafka, database: str, flow_name: str, scratch: Path
) -> AsyncIterator[Entrusted]:
    """Topics and schemas on a broker that asks for rights."""
    (folder := scratch / flow_name).mkdir()
    site = Entrusted(sample_flow(flow_name), secure_kafka, database, folder)
    await site.fleet.prepare()
    yield site
    await site.withdraw()


@pytest.mark.parametrize("left", [(), ("Describe",)], ids=["no right", "to describe"])
async def test_one_topic_that_may_not_be_read_leaves_the_others(
    entrusted: Entrusted, left: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the start or later: the other topic is read, which one is refused is told, and it is read on once it may."""
    monkeypatch.setattr(reading, "_VERIFY_EVERY_SECONDS", 0.5)
    await entrusted.entrust(left)
    async with entrusted.running() as process:
        await entrusted.send(Put(thing="k", n=1), Pat(thing="k", n=2))
        await entrusted.until_effects(1)
        await until(lambda: "may not read it" in process._hindrance(), "it is told")
        assert entrusted.put in process._hindrance()
        assert not process._obstacle()
        assert (
            b'orderflow_unread_topic{topic="%s"} 1.0' % entrusted.put.encode()
            in render({"sample": process.registry()}, "")[0]
        )
        await entrusted.entrust(("Read",))
        await entrusted.until_effects(2)
        await until(lambda: not process._hindrance(), "nothing is told any more")
        await entrusted.entrust(left)
        await entrusted.send(Put(thing="k", n=3), Pat(thing="k", n=4))
        await entrusted.until_effects(3)
        await until(lambda: entrusted.put in process._hindrance(), "it is told again")
        await until(lambda: not process._obstacle(), "and it is ready")
        await entrusted.entrust(("Read",))
        await entrusted.until_effects(4)
    assert len(await entrusted.effects()) == 4


def cut(log: Producer) -> None:
    """Break all connections that a service reads by; it makes others."""
    assert isinstance(log, KafkaLog)
    for connection in [*log._consumer._client._conns.values()]:  # type: ignore[union-attr]  # it has one while it runs
        connection.close()


async def test_a_password_that_changes_while_it_runs_makes_it_not_ready(entrusted: Entrusted) -> None:
    """Connections live on; as soon as a new one is refused that is told, and with the old password back it goes on."""
    await entrusted.entrust(("Read",))
    logs: list[Producer] = []

    def remember(log: Producer) -> Producer:
        logs.append(log)
        return log

    async with entrusted.running(wrap_producer=remember) as process:
        await entrusted.send(Put(thing="k", n=1))
        await entrusted.until_effects(1)
        await entrusted.let_in_by("another-password")
        cut(logs[0])
        await until(lambda: "authentication failed" in process._obstacle(), "it is told")
        await entrusted.send(Put(thing="k", n=2))
        await entrusted.let_in_by(PASSWORD)
        await until(lambda: not process._obstacle(), "it is ready")
        await entrusted.until_effects(2)


async def test_a_service_that_is_not_let_in_ends_and_says_why(entrusted: Entrusted) -> None:
    """Its last line is what the pod leaves; the platform starts it again, with what its Secret holds by then."""
    await entrusted.entrust(("Read",))
    await entrusted.let_in_by("another-password")
    name = entrusted.fleet.start("sample")
    process = entrusted.fleet.processes[name]
    await until(lambda: process.poll() is not None, "it ends", 90)
    assert process.poll() == 77
    last = (entrusted.fleet.folder / f"{name}.log").read_text().splitlines()[-1]
    assert last.startswith("orderflow: Kafka at ")
    assert "authentication failed" in last
