"""The reference flow applied to a real API server: every object as a person has read it, accepted where it is strict.

The files in `golden/` are the objects as the server stores them; where one differs, the test writes what it saw to
artifacts/golden, for reading and copying.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.cluster.api import Api, Json
from support.cluster.kinds import MADE, path_of
from support.cluster.operator_env import OperatorEnv, condition
from support.cluster.pod_status import Fate
from support.cluster.snapshot import snapshot
from support.cluster.strimzi import Refused
from support.flow.fleet import until
from support.flow.flows import shop

GOLDEN = Path(__file__).parent / "golden"
SEEN = Path("artifacts/golden")
SHOP = shop()
SERVICES = [service["name"] for service in SHOP["spec"]["services"]]
TOPICS = [f"shop.{event['name'].lower().replace('_', '-')}" for event in SHOP["spec"]["events"]]
DEAD_LETTERS = [f"shop.{service}.dead-letters" for service in SERVICES]
WANTED: dict[str, Callable[[], list[str]]] = {
    "KafkaTopic": lambda: TOPICS + DEAD_LETTERS,
    "KafkaUser": lambda: [*(f"shop-{service}" for service in SERVICES), "shop.autoscaler"],
    "Deployment": lambda: [f"shop-{service}" for service in SERVICES],
    "Service": lambda: [f"shop-{service}" for service in SERVICES],
    "ServiceAccount": lambda: ["shop.services"],
    "ScaledObject": lambda: [f"shop-{service}" for service in SERVICES],
    "HorizontalPodAutoscaler": list,
    "NetworkPolicy": lambda: ["shop"],
    "TriggerAuthentication": lambda: ["shop.autoscaler"],
}


@pytest.fixture
async def shopping(env: OperatorEnv) -> OperatorEnv:
    """The reference flow, ready."""
    await env.start()
    await env.apply(shop())
    await env.until_ready("shop", 180)
    return env


async def test_every_object_is_as_reviewed_and_accepted_by_strict_validation(shopping: OperatorEnv) -> None:
    """Names per kind, golden files, a dry run of each with fieldValidation=Strict, and one pod admitted per service."""
    made = await shopping.made()
    for kind, names in WANTED.items():
        assert sorted(name for found, name in made if found == kind) == sorted(names()), kind
    compare_golden(snapshot(made, shopping.namespace))
    for item in made.values():
        await accept_strictly(shopping.api, item)
    pods = await shopping.api.list("Pod", shopping.namespace, "orderflow.dev/service")
    assert sorted(pod["metadata"]["labels"]["orderflow.dev/service"] for pod in pods) == sorted(SERVICES)
    refused = [
        event["message"]
        for event in await shopping.api.list("Event", shopping.namespace)
        if event.get("reason") == "FailedCreate"
    ]
    assert not refused, "Pod Security refuses no pod"


def compare_golden(seen: dict[str, Json]) -> None:
    """Compare a few objects with the reviewed files; what differs is written for review."""
    different = []
    for file in sorted(GOLDEN.glob("*.yaml")):
        reviewed = list(yaml.safe_load_all(file.read_text()))
        found = [seen.get(f"{item['kind']} {item['metadata']['name']}", {}) for item in reviewed]
        if found != reviewed:
            SEEN.mkdir(parents=True, exist_ok=True)
            (SEEN / file.name).write_text(yaml.safe_dump_all(found, sort_keys=True, width=120))
            different.append(f"{SEEN / file.name} differs from {file}")
    assert not different, "\n".join(different)


async def accept_strictly(api: Api, item: Json) -> None:
    """Let the server judge what it has stored as if it came from a file: it refuses unknown and double fields."""
    metadata = {key: value for key, value in item["metadata"].items() if key in ("name", "labels", "annotations")}
    body = {key: value for key, value in item.items() if key not in ("metadata", "status")} | {"metadata": metadata}
    await api.apply(body, item["metadata"]["namespace"], dry=True)


async def test_the_api_server_tells_what_kubectl_shows_and_explains(shopping: OperatorEnv) -> None:
    """The table of `kubectl get of`, and the words that `kubectl explain of.spec.services.scale` reads."""
    path = path_of("OrderFlow", shopping.namespace)
    table = await shopping.api.call("GET", path, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert [column["name"] for column in table["columnDefinitions"]] == [
        "Name",
        "Ready",
        "Reason",
        "Services",
        "Topics",
        "Age",
    ]
    assert table["rows"][0]["cells"][:5] == ["shop", "True", "Ready", "5/5", "17/17"]
    schemas = (await shopping.api.call("GET", "/openapi/v3/apis/orderflow.dev/v1alpha1"))["components"]["schemas"]
    spec = schemas["dev.orderflow.v1alpha1.OrderFlow"]["properties"]["spec"]
    scale = spec["properties"]["services"]["items"]["properties"]["scale"]
    assert scale["description"] == "How many pods, and what adds one."
    said = {name: field["description"] for name, field in scale["properties"].items()}
    assert said == {
        "min": "Fewest pods; 1 when left out.",
        "max": "Most pods; more than partitions would stand idle; 1 when left out.",
        "lag": "Events waiting per pod above which a pod is added; 500 when left out.",
    }


async def test_kubectl_shows_and_explains_the_resource(shopping: OperatorEnv, kubectl: Callable[..., Any]) -> None:
    """`kubectl get of` has the columns, `explain` reads like documentation, `wait` ends when all runs."""
    table = await kubectl("get", "of", "-n", shopping.namespace)
    assert table.split("\n")[0].split() == ["NAME", "READY", "REASON", "SERVICES", "TOPICS", "AGE"]
    assert table.split("\n")[1].split()[:2] == ["shop", "True"]
    assert table.split("\n")[1].split()[3:5] == ["5/5", "17/17"]
    explained = await kubectl("explain", "of.spec.services.scale")
    for said in ("Fewest pods; 1 when left out.", "Most pods", "Events waiting per pod"):
        assert said in explained
    await kubectl("wait", "--for=condition=Ready", "of/shop", "-n", shopping.namespace, "--timeout=30s")
    everything = await kubectl("get", "orderflow", "-n", shopping.namespace, "-o", "name")
    assert everything.strip() == "orderflow.orderflow.dev/shop"


async def test_each_service_has_its_pods_problem_in_the_status(env: OperatorEnv) -> None:
    """The worst pod's reason stands by its service, with the last line of a crash and the scheduler's words."""
    await env.kubelet.decide("order", Fate.IMAGE_PULL)
    await env.kubelet.decide("payment", Fate.CRASH_LOOP, "ValueError: no provider")
    await env.kubelet.decide("shipping", Fate.UNSCHEDULABLE)
    await env.start()
    await env.apply(shop())
    wanted = {"order": "ImagePullBackOff", "payment": "CrashLoopBackOff", "shipping": "Unschedulable"}
    seen: dict[str, Json] = {}

    async def told() -> bool:
        flow = await env.flow("shop") or {}
        seen.update({entry["name"]: entry for entry in flow.get("status", {}).get("services", ())})
        well = seen.get("inventory", {}).get("ready") == 1
        return well and all(seen.get(name, {}).get("reason") == reason for name, reason in wanted.items())

    try:
        await until(told, "", 90)
    except AssertionError:
        raise AssertionError(f"{seen}\n{env.operator.tail()}") from None
    assert "ValueError: no provider" in seen["payment"]["message"]
    assert "Insufficient cpu" in seen["shipping"]["message"]
    await env.until("shop", "ServicesReady", "False")
    for service in wanted:
        await env.kubelet.decide(service, Fate.READY)
    await env.until_ready("shop")


async def test_a_refused_topic_is_told_of_and_keeps_nothing_else_from_going_on(env: OperatorEnv) -> None:
    """What Strimzi says of a topic stands by its event; services run, with the rights on all other topics."""
    env.strimzi.refusals["shop.order-created"] = Refused("KafkaError", "too many replicas")
    await env.start()
    await env.apply(shop())
    said = await env.until("shop", "TopicsReady", "False", "KafkaError")
    assert "shop.order-created" in said["message"]
    assert "too many replicas" in said["message"]

    async def others_run() -> bool:
        found = (await env.flow("shop") or {})["status"]["services"]
        return all(one["ready"] for one in found)

    await until(others_run, "all services run", 120)
    flow = await env.flow("shop") or {}
    said = condition(flow, "IdentitiesReady")
    assert (said["status"], said["reason"]) == ("False", "RightsWithheld")
    assert "shop.order-created" in said["message"]
    (event,) = [entry for entry in flow["status"]["events"] if entry["name"] == "ORDER_CREATED"]
    assert event["ready"] == "False"
    assert condition(flow, "Ready")["status"] == "False"
    del env.strimzi.refusals["shop.order-created"]
    await env.strimzi.round()
    await env.until_ready("shop")


def test_every_kind_is_looked_at() -> None:
    """What is expected by name is among what is looked for."""
    assert set(WANTED) <= set(MADE)
