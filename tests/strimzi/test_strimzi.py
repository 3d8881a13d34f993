"""The reference flow on Strimzi, in a kind cluster: `make e2e-strimzi`, where images can be pulled.

Strimzi comes by its own chart, in the version whose API the operator speaks; Kafka by charts/orderflow-platform. What
the flow itself can do is shown by tests/e2e on another broker. Here it is that topics and users become real by Strimzi.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import yaml

from orderflow_cli.shop import invariants
from orderflow_model.topics import flow_topics
from support.cluster.cluster import CommandFailed, Json, Namespace, helm, is_ready, kubectl, obstacle, until
from support.cluster.crds import STRIMZI
from support.cluster.shop_in_cluster import IMAGE, ShopInCluster
from support.cluster.tunnels import api_proxy, forward
from support.flow.fleet import until as eventually
from support.flow.orders import Shop, mixture, shop_of
from support.tools.names import unique_name

ROOT = Path(__file__).parents[2]
CHARTS = ["--repo=https://strimzi.io/charts/", f"--version={STRIMZI}"]
SYSTEM, STRIMZI_SYSTEM = "orderflow-system", "strimzi-system"
MARK = "orderflow.dev/e2e-strimzi"
OPERATOR = ["orderflow-operator", str(ROOT / "charts/orderflow-operator"), "--set=image.tag=dev"]
PLATFORM = [
    "platform",
    str(ROOT / "charts/orderflow-platform"),
    "--set=kafka.type=Strimzi,kafka.strimzi.nodes=1,kafka.strimzi.resources.requests.cpu=50m",
    f"--set=postgres.resources.requests.cpu=50m,paymentProvider.image={IMAGE}",
]
ORDERS = 100


def flow_in(namespace: str) -> Json:
    """Give the reference flow as it is shipped, for one broker and a small machine."""
    flow: Json = yaml.safe_load((ROOT / "manifests/flows/shop.yaml").read_text())
    flow["metadata"]["namespace"] = namespace
    flow["spec"]["defaults"]["topic"]["replicas"] = 1
    for service in flow["spec"]["services"]:
        service["resources"] = {"requests": {"cpu": "20m"}}
    return flow


@pytest.fixture(scope="module", autouse=True)
def strimzi() -> None:
    """Strimzi's operator, for all namespaces; without a cluster or its chart nothing here can be told."""
    if why := obstacle():
        pytest.exit(why, returncode=69)
    wishes = ["--set=watchAnyNamespace=true", "--wait", "--timeout=5m"]
    command = ["upgrade", "--install", "--create-namespace", f"--namespace={STRIMZI_SYSTEM}", "strimzi"]
    try:
        helm(*command, "strimzi-kafka-operator", *CHARTS, *wishes, seconds=330)
    except CommandFailed as error:
        pytest.exit(f"Strimzi {STRIMZI} cannot be installed here: {error}", returncode=69)


@pytest.fixture(scope="module")
def namespace() -> Iterator[Namespace]:
    """A namespace with Kafka by Strimzi, Postgres and the payment provider, where the operator watches."""
    kubectl("delete", "namespaces", f"--selector={MARK}", "--wait=false")
    system, ours = Namespace(SYSTEM), Namespace(unique_name("strimzi-"))
    system.create()
    ours.create(**{MARK: "true"})
    for where, chart in ((SYSTEM, OPERATOR), (ours.name, PLATFORM)):
        helm("upgrade", "--install", f"--namespace={where}", *chart)
    system.rolled_out("deployment/orderflow-operator")
    ours.rolled_out("statefulset/postgres")
    ours.kubectl("wait", "kafka/events", "--for=condition=Ready", "--timeout=600s", seconds=630)
    yield ours
    kubectl("delete", "namespace", ours.name, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="module")
def fleet(namespace: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopInCluster]:
    """The reference flow, Ready."""
    tunnels = [api_proxy().open(), forward(namespace.name, "pod/postgres-0", 5432).open()]
    try:
        fleet = ShopInCluster(namespace, *tunnels, tmp_path_factory.mktemp("strimzi"))
        fleet.apply(flow_in(namespace.name))
        fleet.until_ready(600)
        yield fleet
    finally:
        for tunnel in tunnels:
            tunnel.close()


@pytest.fixture
async def shop(fleet: ShopInCluster) -> AsyncIterator[Shop]:
    """A client of the order service."""
    async with shop_of(fleet) as shop:
        yield shop


@pytest.mark.timeout(1800)
async def test_orders_of_every_fate_end(fleet: ShopInCluster, shop: Shop) -> None:
    """A hundred orders, a quarter of which cannot be served, paid or shipped, end; money and stock are conserved."""
    for order in await shop.place_all(mixture(ORDERS)):
        await shop.until(order, seconds=240)
    connection = await asyncpg.connect(fleet.admin_url)
    try:
        await eventually(lambda: invariants.at_rest(connection, fleet.flow), "no service owes anything", 240)
        findings = await invariants.check(connection, fleet.flow)
        assert all(finding.holds for finding in findings), findings
        assert (await invariants.order_states(connection))["CANCELLED"] == ORDERS // 4
    finally:
        await connection.close()


def test_every_topic_and_identity_is_strimzis(fleet: ShopInCluster) -> None:
    """Each topic of the flow is a KafkaTopic, each service a KafkaUser, and Strimzi says of all that they are Ready."""
    for kind, wanted in (("kafkatopics", len(flow_topics(fleet.flow))), ("kafkausers", len(fleet.flow.spec.services))):
        found = fleet.namespace.all_of(kind, "orderflow.dev/flow=shop")
        assert len(found) >= wanted
        assert all(is_ready(one) for one in found), [one["metadata"]["name"] for one in found if not is_ready(one)]


def test_topics_outlive_the_flow_and_identities_do_not(fleet: ShopInCluster) -> None:
    """When the flow is deleted, by its policy Retain, its topics stay; nobody can log in as its services any more."""
    topics = {one["metadata"]["name"] for one in fleet.namespace.all_of("kafkatopics")}
    fleet.namespace.kubectl("delete", "orderflow", "shop", "--timeout=120s", seconds=150)
    until(lambda: not fleet.namespace.all_of("kafkausers", "orderflow.dev/flow=shop"), "the identities are gone")
    assert {one["metadata"]["name"] for one in fleet.namespace.all_of("kafkatopics")} == topics
