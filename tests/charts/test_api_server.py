"""The charts on a real API server: what they make is taken, an upgrade keeps what was drawn, an uninstall the data.

No node runs anything there; tests/e2e does that.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import yaml

from support.cluster.api import Api, ApiError, Json
from support.cluster.controlplane import ControlPlane
from support.cluster.helm import CASES, MAJORS, MATRIX, OPERATOR, PLATFORM, ROOT, Helm, pod_templates
from support.flow.fleet import until

SYSTEM, SHOP, EMPTY = "orderflow-system", "shop", "empty"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
pytestmark = pytest.mark.timeout(1800)  # the first run compiles Helm


@pytest.fixture(scope="module", params=MAJORS, ids="Helm {}".format)
def installed(request: pytest.FixtureRequest, plane: ControlPlane, scratch: Path) -> Helm:
    """Helm, and with it both charts installed; the newer one finds the releases of the older, and takes them over."""
    helm = Helm(scratch, request.param, plane.kubeconfig)
    install(helm, OPERATOR, SYSTEM, {"webhook": {"failurePolicy": "Ignore"}})
    install(helm, PLATFORM, SHOP, {"kafka": {"type": "Broker"}})
    asyncio.run(prepare(plane))
    return helm


def install(helm: Helm, chart: Path, namespace: str, values: Json) -> str:
    """Install or upgrade as a user does."""
    place = ("--namespace", namespace, "--create-namespace")
    return helm.run("upgrade", "--install", chart.name, chart, *place, values=values)


async def prepare(plane: ControlPlane) -> None:
    """Wait until flows are served, and make a namespace under Pod Security `restricted`."""
    async with Api(plane.url, plane.token) as api:
        await api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": EMPTY, "labels": RESTRICTED}})
        await until(lambda: served(api), "OrderFlows are served", 60)


async def served(api: Api) -> bool:
    """Whether flows can be listed."""
    try:
        await api.call("GET", "/apis/orderflow.dev/v1alpha1/orderflows", limit="1")
    except ApiError:
        return False
    return True


@pytest.fixture
async def api(installed: Helm, plane: ControlPlane) -> AsyncIterator[Api]:
    """An administrator's client of the API server where the charts are installed."""
    async with Api(plane.url, plane.token) as client:
        yield client


def pods(objects: list[Json]) -> Iterator[Json]:
    """Give a pod of each kind that objects make, as their controllers would."""
    for owner, template in pod_templates(objects).items():
        name = owner.lower().replace(" ", "-")
        claims = [{"name": "data", "persistentVolumeClaim": {"claimName": f"data-{name}"}}]
        volumes = template["spec"].get("volumes", []) + (claims if name.startswith("statefulset") else [])
        spec = template["spec"] | {"volumes": volumes}
        metadata = {"name": name, "labels": template["metadata"]["labels"]}
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


async def accept(api: Api, item: Json, namespace: str) -> None:
    """Let the server judge an object without storing it; unknown and double fields are refused."""
    group, _, version = item["apiVersion"].rpartition("/")
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    known = {one["name"]: one for one in (await api.call("GET", root))["resources"] if one["kind"] == item["kind"]}
    plural, kind = next((name, one) for name, one in known.items() if "/" not in name)
    space = f"/namespaces/{item['metadata'].get('namespace', namespace)}" if kind["namespaced"] else ""
    path = f"{root}{space}/{plural}/{item['metadata']['name']}"
    query = {"fieldManager": "tests", "force": "true", "fieldValidation": "Strict", "dryRun": "All"}
    await api.call("PATCH", path, item, "application/apply-patch+yaml", **query)


@pytest.mark.parametrize(("chart", "name"), CASES, ids=[f"{chart.name} {name}" for chart, name in CASES])
async def test_the_server_takes_what_the_charts_make(api: Api, newest_helm: Helm, chart: Path, name: str) -> None:
    """Every object of every set of values, and every pod under Pod Security `restricted`."""
    values = dict(MATRIX[chart][name])
    values.pop("watchNamespaces", None)  # those are not here
    objects = newest_helm.render(chart, values, namespace=EMPTY)
    for item in [*objects, *pods(objects)]:
        await accept(api, item, EMPTY)


@pytest.mark.parametrize("file", sorted((ROOT / "manifests").rglob("*.yaml")), ids=lambda file: file.name)
async def test_the_server_takes_every_manifest(api: Api, file: Path) -> None:
    """`kubectl apply` of each file is accepted where the charts are installed."""
    for item in yaml.safe_load_all(await asyncio.to_thread(file.read_text)):
        await accept(api, item, SHOP)


async def secrets(api: Api) -> dict[str, Json]:
    """Give the contents of all Secrets that the charts make."""
    names = {SHOP: ("kafka-admin", "postgres-admin", "shop-db"), SYSTEM: ("orderflow-operator-webhook",)}
    found = {}
    for namespace, wanted in names.items():
        for name in wanted:
            secret = await api.get("Secret", namespace, name)
            assert secret is not None, name
            found[name] = secret["data"]
    return found


async def test_an_upgrade_keeps_what_was_drawn(api: Api, installed: Helm) -> None:
    """Passwords and the webhook's certificate are those of the first installation, and trusted as before."""
    before = await secrets(api)
    install(installed, OPERATOR, SYSTEM, {"webhook": {"failurePolicy": "Fail"}, "logLevel": "DEBUG"})
    install(installed, PLATFORM, SHOP, {"kafka": {"type": "Broker"}, "collector": {"enabled": True}})
    assert await secrets(api) == before
    hook = await api.get("ValidatingWebhookConfiguration", "", "orderflow-operator")
    assert hook is not None
    assert hook["webhooks"][0]["failurePolicy"] == "Fail"
    assert hook["webhooks"][0]["clientConfig"]["caBundle"] == before["orderflow-operator-webhook"]["ca.crt"]
    install(installed, OPERATOR, SYSTEM, {"webhook": {"failurePolicy": "Ignore"}})


async def test_an_upgrade_to_secrets_of_ones_own_takes_none_away(api: Api, installed: Helm) -> None:
    """Those that were drawn stay, for flows still name them; back again, they are what they were."""
    before = await secrets(api)
    install(installed, PLATFORM, SHOP, MATRIX[PLATFORM]["with Secrets of one's own"])
    assert await secrets(api) == before
    install(installed, PLATFORM, SHOP, {"kafka": {"type": "Broker"}})
    assert await secrets(api) == before


async def test_the_address_of_the_database_has_its_password(api: Api) -> None:
    """What a flow is told of Postgres is what Postgres was told."""
    found = {
        name: {key: base64.b64decode(value).decode() for key, value in data.items()}
        for name, data in (await secrets(api)).items()
    }
    password = found["postgres-admin"]["password"]
    assert len(password) == 32
    assert found["shop-db"]["uri"] == f"postgresql://postgres:{password}@postgres.shop.svc:5432/orderflow"
    assert found["kafka-admin"]["password"] != password


async def test_an_uninstall_leaves_the_definition_the_flows_and_the_data(api: Api, installed: Helm) -> None:
    """A flow and all Secrets are there afterwards, and the next installation takes them up."""
    flow = yaml.safe_load((ROOT / "manifests/flows/shop-admin.yaml").read_text())
    await api.apply(flow, SHOP)
    before = await secrets(api)
    installed.run("uninstall", OPERATOR.name, "--namespace", SYSTEM)
    installed.run("uninstall", PLATFORM.name, "--namespace", SHOP)
    assert await api.get("OrderFlow", SHOP, "shop") is not None
    kept = {
        name: (await api.get("Secret", SHOP, name) or {}).get("data")
        for name in before
        if name != "orderflow-operator-webhook"
    }
    assert kept == {name: before[name] for name in kept}
    install(installed, OPERATOR, SYSTEM, {"webhook": {"failurePolicy": "Ignore"}})
    install(installed, PLATFORM, SHOP, {"kafka": {"type": "Broker"}})
    after = await secrets(api)
    assert {name: after[name] for name in kept} == kept
    assert await api.get("OrderFlow", SHOP, "shop") is not None
    await api.delete("OrderFlow", SHOP, "shop")  # the next Helm begins without it
