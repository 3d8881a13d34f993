"""How often a flow's Secrets are looked at, with the clock in hand. What follows is tested on a real API server."""

import base64
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from orderflow_model.flow import OrderFlow
from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.kubernetes.stored import Stored
from orderflow_operator.reconciler.credentials import Credentials

KEY = FlowKey("team-a", "shop")
URI = "postgresql://admin:pw@db.example/shop"


class Secrets:
    """A namespace's Secrets; each call is counted by what it does."""

    def __init__(self, shop: OrderFlow) -> None:
        reference = shop.spec.database.secret_key_ref
        admin = Stored("u", {reference.key: URI}, usable=True)
        self.there = {reference.name: admin}
        self.calls: Counter[str] = Counter()

    async def stored(self, namespace: str, name: str) -> Stored | None:
        """Read one."""
        self.calls["read"] += 1
        return self.there.get(name)

    async def own_secret(self, key: FlowKey, uid: str, name: str) -> Stored | None:
        """Read one of the flow's."""
        return await self.stored(key.namespace, name)

    async def create_secret(self, key: FlowKey, wanted: dict[str, Any]) -> Stored | None:
        """Make one that is not there."""
        self.calls["create"] += 1
        name, owner = wanted["metadata"]["name"], wanted["metadata"]["ownerReferences"][0]["uid"]
        if name in self.there:
            return None
        values = {key: base64.b64decode(value).decode() for key, value in wanted["data"].items()}
        self.there[name] = Stored(name, values, frozenset({owner}))
        return self.there[name]

    async def delete_secret(self, key: FlowKey, name: str) -> None:
        """Delete one."""
        del self.there[name]


@pytest.fixture
def secrets(shop: OrderFlow) -> Secrets:
    """The admin's Secret alone."""
    return Secrets(shop)


@pytest.fixture
def clock() -> SimpleNamespace:
    """A clock that stands until it is set."""
    return SimpleNamespace(now=0.0)


@pytest.fixture
def credentials(secrets: Secrets, clock: SimpleNamespace) -> Credentials:
    """The operator's view of them."""
    cluster: Any = secrets
    return Credentials(cluster, lambda: float(clock.now))


async def turn(credentials: Credentials, shop: OrderFlow, *, on_the_way: bool) -> None:
    """Take a turn, as far as it asks for Secrets; none of the flow's Services is there yet."""
    await credentials.check_named(KEY, shop)
    await credentials.ensure(KEY, shop, await credentials.admin(KEY, shop), {}, write=True)
    credentials.note_turn(KEY, on_the_way=on_the_way)


async def test_a_new_flows_secrets_are_made_without_a_look(
    credentials: Credentials, secrets: Secrets, shop: OrderFlow
) -> None:
    """One call each, and one look at what the flow names, though two things are asked of it."""
    await turn(credentials, shop, on_the_way=True)
    assert secrets.calls == {"read": 1, "create": len(shop.services)}


async def test_a_secret_that_is_there_keeps_its_password(
    credentials: Credentials, secrets: Secrets, clock: SimpleNamespace, shop: OrderFlow
) -> None:
    """An operator that remembers nothing finds what another has made, and draws no other password."""
    await turn(credentials, shop, on_the_way=True)
    before = dict(secrets.there)
    cluster: Any = secrets
    await turn(Credentials(cluster, lambda: float(clock.now)), shop, on_the_way=True)
    assert secrets.there == before


@pytest.mark.parametrize(
    ("on_the_way", "seconds", "looks"), [(True, 59, 0), (True, 61, 1), (False, 29, 0), (False, 31, 1)]
)
async def test_turns_on_the_way_share_a_look(
    credentials: Credentials,
    secrets: Secrets,
    clock: SimpleNamespace,
    shop: OrderFlow,
    on_the_way: bool,
    seconds: float,
    looks: int,
) -> None:
    """While each turn brings a flow further nothing is looked at twice within a minute; else thirty seconds count."""
    await turn(credentials, shop, on_the_way=on_the_way)
    before, clock.now = secrets.calls["read"], seconds
    await turn(credentials, shop, on_the_way=on_the_way)
    assert secrets.calls["read"] - before == looks * (1 + len(shop.services))


async def test_the_secrets_of_a_service_that_is_back_at_once_are_made_anew(
    credentials: Credentials, secrets: Secrets, shop: OrderFlow
) -> None:
    """What was deleted with a service that left is not taken for there, however lately it was seen."""
    await turn(credentials, shop, on_the_way=True)
    before = dict(secrets.there)
    await credentials.remove(KEY, "shop-payment")
    assert before.keys() - secrets.there.keys() == {"shop-payment.database"}
    await turn(credentials, shop, on_the_way=True)
    assert secrets.there.keys() == before.keys()
