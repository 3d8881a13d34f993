"""Services that move between processes, step by step: old pods and requests stay until the new pods are ready.

The cluster is a double in memory that does what it is told at once; the real one is met in `test_rollouts.py`.
"""

import copy
from collections.abc import Collection
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import parse_flow
from orderflow_model.postgres_uri import PostgresUri
from orderflow_model.status import FlowStatus
from orderflow_operator.kafka.admin import Provisioned
from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.kubernetes.cached_object import CachedObject, digest_of
from orderflow_operator.kubernetes.health import Health, State
from orderflow_operator.kubernetes.kinds import DEPLOYMENT, KAFKA_USER, SERVICE, ObjectKey
from orderflow_operator.reconciler.apply import apply_changes
from orderflow_operator.reconciler.context import Dependencies, ReconcileContext
from orderflow_operator.reconciler.credentials import Admin
from orderflow_operator.resources.build_context import BuildContext, Database
from orderflow_operator.resources.desired import desired
from support.flow.flows import changed, shop

Json = dict[str, Any]
KEY = FlowKey("prod", "shop")
NAMES = ("order", "inventory", "payment", "shipping", "notification")
CORE = {"groups": [{"name": "core", "services": ["order", "payment"]}]}
TOGETHER = {"mode": "Together"}


@dataclass
class Cluster:
    """Objects, and pods of each version of a Deployment; `starts` tells whether new pods get ready; `slow` do not."""

    there: dict[ObjectKey, Json] = field(default_factory=dict)
    running: dict[str, Json] = field(default_factory=dict)
    ending: list[Json] = field(default_factory=list)
    starts: bool = True
    slow: set[str] = field(default_factory=set)

    def objects(self, _: FlowKey) -> dict[ObjectKey, CachedObject]:
        """Give what is remembered: a Deployment is ready when the pods that run are of its version."""
        return {
            key: CachedObject(1, digest_of(one), 0, True, self._health(key, one)) for key, one in self.there.items()
        }

    def _health(self, key: ObjectKey, one: Json) -> Health:
        late = key.kind is DEPLOYMENT and self.running.get(key.name) != one["spec"]["template"]
        return Health(State.PENDING if late else State.READY, wanted=1)

    async def apply(self, _: FlowKey, uid: str, wanted: Json) -> bool:
        """Write it if it differs; its pods follow, if they start."""
        key, same = ObjectKey.of(wanted), self.there.get(ObjectKey.of(wanted)) == wanted
        self.there[key] = copy.deepcopy(wanted)
        self.roll()
        return not same

    def roll(self) -> None:
        """Let the pods of each Deployment be those of its version; former ones are ending for a while."""
        for key, one in self.there.items():
            if key.kind is DEPLOYMENT and self.starts and key.name not in self.slow:
                self._start(key.name, one["spec"]["template"])

    def _start(self, name: str, template: Json) -> None:
        if self.running.get(name) != template:
            self.ending += [self.running[name]] if name in self.running else []
            self.running[name] = copy.deepcopy(template)

    async def remove(self, _: FlowKey, key: ObjectKey) -> None:
        """Take it away, its pods are ending."""
        del self.there[key]
        if key.kind is DEPLOYMENT and key.name in self.running:
            self.ending.append(self.running.pop(key.name))

    async def pods(self, _: FlowKey) -> list[Json]:
        """Give the pods, as the API server has them."""
        gone = [{"metadata": {**one["metadata"], "deletionTimestamp": "now"}} for one in self.ending]
        return [*copy.deepcopy(list(self.running.values())), *gone]

    async def current(self, _: FlowKey, key: ObjectKey) -> Json | None:
        """Give an object as it is."""
        return self.there.get(key)

    def leads(self, services: Collection[str] = NAMES) -> dict[str, str]:
        """Give the process whose pods take each Service's requests; one of these that leads nowhere is a failure."""
        found = {}
        for key, one in self.there.items():
            if key.kind is SERVICE and key.name.removeprefix("shop-") in services:
                process = one["spec"]["selector"]["orderflow.dev/service"]
                template = self.running[f"shop-{process}"]
                ports = [port["name"] for port in template["spec"]["containers"][0]["ports"]]
                assert one["spec"]["ports"][0]["targetPort"] in ports, (key, ports)
                found[key.name.removeprefix("shop-")] = process.partition("-")[0]
        return found


def flow(placement: Json, services: tuple[str, ...] = NAMES) -> OrderFlow:
    """The reference flow, so placed, with these of its services."""
    found = changed(shop(), "spec.placement", placement)
    kept = [one for one in found["spec"]["services"] if one["name"] in services]
    return parse_flow(
        {**changed(found, "spec.services", kept), "metadata": {"name": "shop", "namespace": "prod", "uid": "u"}}
    )


async def turns(cluster: Cluster, wanted: OrderFlow, number: int = 6) -> None:
    """Reconcile so often; at each moment every Service leads to pods that run."""
    build, admin = (
        BuildContext(keda=True, database=Database("d")),
        Admin(PostgresUri.parse("postgresql://h/d"), Database("d")),
    )

    async def provision(*_: object) -> Provisioned:
        return Provisioned()

    async def retire(*_: object) -> None:
        return None

    parts = SimpleNamespace(
        cluster=cluster, provisioning=SimpleNamespace(provision=provision), credentials=SimpleNamespace(remove=retire)
    )
    raw = {"metadata": {"uid": "u", "resourceVersion": "1"}}
    for turn in range(number):
        context = ReconcileContext(KEY, raw, wanted, admin, build, desired(wanted, build), FlowStatus())
        await apply_changes(context, cast("Dependencies", parts))
        if turn:  # the first makes the pods that its Services lead to
            cluster.leads([service.name for service in wanted.services])


def deployments(cluster: Cluster) -> set[str]:
    """The Deployments there are."""
    return {key.name.split("-")[1] for key in cluster.there if key.kind is DEPLOYMENT}


MOVES: list[tuple[Json, Json, dict[str, str]]] = [
    ({}, TOGETHER, dict.fromkeys(NAMES, "together")),
    (TOGETHER, {}, {name: name for name in NAMES}),
    ({}, CORE, {name: name for name in NAMES} | dict.fromkeys(("order", "payment"), "core")),
    (CORE, TOGETHER, dict.fromkeys(NAMES, "together")),
    (
        CORE,
        {"groups": [{"name": "core", "services": ["order", "inventory", "payment"]}]},
        {name: name for name in NAMES} | dict.fromkeys(("order", "inventory", "payment"), "core"),
    ),
    (
        {"groups": [*CORE["groups"], {"name": "side", "services": ["shipping", "inventory"]}]},
        {
            "groups": [
                {"name": "core", "services": ["order", "inventory"]},
                {"name": "side", "services": ["shipping", "payment"]},
            ]
        },
        {name: name for name in NAMES}
        | dict.fromkeys(("order", "inventory"), "core")
        | dict.fromkeys(("shipping", "payment"), "side"),
    ),
    (
        CORE,
        {"groups": [{"name": "core", "services": ["shipping", "payment"]}]},
        {name: name for name in NAMES} | dict.fromkeys(("shipping", "payment"), "core"),
    ),
]


@pytest.mark.parametrize(("before", "after", "leads"), MOVES)
async def test_services_move_while_they_serve(before: Json, after: Json, leads: dict[str, str]) -> None:
    """Stuck, all is as it was but for the new pods; taken back, exactly so; gone through, exactly as the flow says."""
    cluster = Cluster()
    await turns(cluster, flow(before))
    first, there, led = deployments(cluster), dict(cluster.there), cluster.leads()

    cluster.starts = False
    await turns(cluster, flow(after))
    assert (first <= deployments(cluster), cluster.leads()) == (True, led)
    assert {key for key in there if key.kind is KAFKA_USER} <= cluster.there.keys()

    await turns(cluster, flow(before))
    assert cluster.there == there, "it was taken back"

    await turns(cluster, flow(after), 1)
    assert cluster.leads() == led, "the new pods are not ready"
    cluster.starts = True
    cluster.roll()
    await turns(cluster, flow(after))
    assert (cluster.leads(), deployments(cluster)) == (leads, set(leads.values()))
    cluster.ending.clear()
    await turns(cluster, flow(after))
    build = BuildContext(keda=True, database=Database("d"))
    assert set(map(ObjectKey.of, desired(flow(after), build))) == cluster.there.keys()


async def test_a_service_that_leaves_a_shared_process_keeps_its_rights_until_its_last_pod_is_gone() -> None:
    """Pods of the former version say which services they have, and nobody's user goes while one of them is ending."""
    cluster = Cluster()
    await turns(cluster, flow(TOGETHER))
    rest = flow(TOGETHER, NAMES[:-1])
    await turns(cluster, rest)
    assert cluster.ending, "the former pods are still there"
    assert ObjectKey(KAFKA_USER, "shop-notification") in cluster.there
    cluster.ending.clear()
    await turns(cluster, rest)
    assert ObjectKey(KAFKA_USER, "shop-notification") not in cluster.there
    assert ObjectKey(SERVICE, "shop-notification") not in cluster.there


async def test_a_service_that_leaves_a_group_is_served_until_its_own_pods_are_ready() -> None:
    """The group that it leaves does not end before, however quickly the group's new pods start."""
    cluster = Cluster()
    await turns(cluster, flow(CORE))
    cluster.slow = {"shop-order"}
    after = flow({"groups": [{"name": "core", "services": ["shipping", "payment"]}]})
    await turns(cluster, after)
    assert cluster.leads()["order"] == "core"
    cluster.slow = set()
    cluster.roll()
    await turns(cluster, after)
    assert cluster.leads()["order"] == "order"
