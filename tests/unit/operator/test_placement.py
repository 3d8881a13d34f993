"""A process of several services in a cluster: one Deployment, and in it each with all that it has when it is apart."""

import json
from typing import Any

import pytest

from orderflow_model.environment import own_environment
from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import load_flow, parse_flow
from orderflow_model.placement import processes
from orderflow_model.spec.placement import Placement, PlacementMode
from orderflow_operator.monitoring.settings import Monitoring
from orderflow_operator.resources.build_context import BuildContext, Database, Proofs
from orderflow_operator.resources.desired import desired
from support.flow.flows import changed, shop
from support.flow.orders import SHOP

Json = dict[str, Any]
NAMES = ("order", "inventory", "payment", "shipping", "notification")
TOGETHER = f"shop-{processes(load_flow(SHOP), Placement(mode=PlacementMode.TOGETHER))[0].name}"
PLACE = {"namespace": "prod", "uid": "u"}


def placed(placement: Json, **edits: Any) -> OrderFlow:
    """The reference flow, so placed and edited."""
    flow = changed(shop(), "spec.placement", placement)
    for place, value in edits.items():
        flow = changed(flow, place, value)
    return parse_flow({**flow, "metadata": flow["metadata"] | PLACE})


def objects(flow: OrderFlow, **context: Any) -> dict[tuple[str, str], Json]:
    """What it wants, by kind and name."""
    built = desired(flow, BuildContext(keda=True, database=Database("d"), **context))
    return {(one["kind"], one["metadata"]["name"]): one for one in built}


@pytest.fixture
def together() -> dict[tuple[str, str], Json]:
    """The reference flow's objects where all services share a process."""
    return objects(placed({"mode": "Together"}))


def container(flow: dict[tuple[str, str], Json], name: str) -> Json:
    """The container of a Deployment."""
    found: Json = flow["Deployment", name]["spec"]["template"]["spec"]["containers"][0]
    return found


def variables(one: Json) -> dict[str, Any]:
    """A container's variables, by name."""
    return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in one["env"]}


def test_a_shared_process_is_one_deployment_and_each_service_keeps_its_own(
    together: dict[tuple[str, str], Json],
) -> None:
    """What belongs to a service by itself is what it is apart: its user, migration, Service and topics."""
    apart = objects(placed({}))
    made = [name for kind, name in together if kind in ("Deployment", "ScaledObject", "PodDisruptionBudget")]
    assert made == [TOGETHER] * 2
    for kind in ("KafkaUser", "KafkaTopic", "Job"):
        assert {n: o for (k, n), o in together.items() if k == kind} == {
            n: o for (k, n), o in apart.items() if k == kind
        }
    assert {name for kind, name in together if kind == "Service"} == {f"shop-{name}" for name in NAMES}


def test_each_service_is_told_by_its_own_name_what_it_is_told_apart(together: dict[tuple[str, str], Json]) -> None:
    """Role, user, configuration: the same Secrets and values; only the port and the file are the process's to give."""
    shared, apart = container(together, TOGETHER), objects(placed({}))
    template = together["Deployment", TOGETHER]["spec"]["template"]
    files = template["spec"]["volumes"][0]["downwardAPI"]["items"]
    for name in NAMES:
        own = own_environment(name, variables(shared))
        expected = variables(container(apart, f"shop-{name}"))
        file = own["ORDERFLOW_CONFIG"].rpartition("/")[2]
        place = next(item["fieldRef"]["fieldPath"] for item in files if item["path"] == file)
        told = template["metadata"]["annotations"][place.removeprefix("metadata.annotations['").removesuffix("']")]
        assert json.loads(told)["service"] == name
        assert {k: v for k, v in own.items() if v != expected.get(k)}.keys() <= {
            "ORDERFLOW_CONFIG",
            "ORDERFLOW_HTTP_PORT",
        }
        assert own.keys() == expected.keys()
    assert shared["command"][:3] == ["python", "-m", "orderflow_runtime.shared_process"]
    assert shared["command"][3:5] == ["order=orderflow_order", "inventory=orderflow_inventory"]


def test_each_service_is_reached_at_its_own_port_of_the_shared_pods(together: dict[tuple[str, str], Json]) -> None:
    """Its Service leads to a port that is called after it, also where the number is another one's next time."""
    pods = together["Deployment", TOGETHER]["spec"]
    ports = {port["name"]: port["containerPort"] for port in container(together, TOGETHER)["ports"]}
    labels = pods["template"]["metadata"]["labels"]
    assert len(set(ports.values())) == len(ports) == len(NAMES) + 1
    assert all(len(name) <= 15 for name in ports)
    for name in NAMES:
        spec = together["Service", f"shop-{name}"]["spec"]
        assert spec["selector"].items() <= labels.items()
        assert ports[spec["ports"][0]["targetPort"]] == int(
            own_environment(name, variables(container(together, TOGETHER)))["ORDERFLOW_HTTP_PORT"]
        )
    ingress = together["NetworkPolicy", "shop"]["spec"]["ingress"]
    assert {rule["port"] for way in ingress for rule in way["ports"]} == set(ports.values())


@pytest.mark.parametrize("name", ["metrics", "a--b", "of-sixteen-chars"])
def test_a_port_that_cannot_be_called_after_its_service_is_called_otherwise(name: str) -> None:
    """A pod's ports are called apart, that of its metrics too, by names that Kubernetes takes."""
    *others, last = shop()["spec"]["services"]
    found = objects(placed({"mode": "Together"}, **{"spec.services": [*others, last | {"name": name}]}))
    ports = [one["name"] for (kind, _), o in found.items() if kind == "Deployment" for one in _ports(o)]
    assert len(set(ports)) == len(ports) == len(NAMES) + 1
    assert all(len(port) <= 15 and "--" not in port for port in ports)
    target = found["Service", f"shop-{name}"]["spec"]["ports"][0]["targetPort"]
    assert target in ports
    assert target != "metrics"


def _ports(deployment: Json) -> list[Json]:
    ports: list[Json] = deployment["spec"]["template"]["spec"]["containers"][0]["ports"]
    return ports


def test_a_shared_process_scales_by_the_greatest_lag_and_asks_for_the_sum(
    together: dict[tuple[str, str], Json],
) -> None:
    """A trigger for each service and topic, by that service's measure; as many pods as the most demanding wants."""
    spec = together["ScaledObject", TOGETHER]["spec"]
    flow = placed({"mode": "Together"})
    groups = {(one["metadata"]["consumerGroup"], one["metadata"]["lagThreshold"]) for one in spec["triggers"]}
    assert groups == {(f"shop.{one.name}", str(one.scale.lag)) for one in flow.services}
    assert len(spec["triggers"]) == sum(len(one.subscribes) for one in flow.services)
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (1, 12)
    assert container(together, TOGETHER)["resources"]["limits"]["memory"] == "2560Mi"


def test_shared_pods_are_found_by_each_of_their_services(together: dict[tuple[str, str], Json]) -> None:
    """A NetworkPolicy for one service goes by its label; the Deployment goes by that of the process alone."""
    spec = together["Deployment", TOGETHER]["spec"]
    expected = {f"orderflow.dev/service.{name}": "true" for name in NAMES}
    assert expected.items() <= spec["template"]["metadata"]["labels"].items()
    assert not expected.keys() & spec["selector"]["matchLabels"].keys()
    apart = objects(placed({}))["Deployment", "shop-payment"]["spec"]["template"]["metadata"]["labels"]
    assert not expected.keys() & apart.keys()


def test_another_password_of_one_service_starts_the_shared_pods_anew() -> None:
    """The mark in the template is of all of them."""
    flow, marks = placed({"mode": "Together"}), dict.fromkeys(NAMES, "a")

    def template(**changed: str) -> Json:
        built = objects(flow, proofs=Proofs(services=marks | changed))
        found: Json = built["Deployment", TOGETHER]["spec"]["template"]
        return found

    assert template() != template(payment="b")


def test_metrics_of_a_shared_process_are_believed_of_whom_they_are_and_of_no_other_pod() -> None:
    """The label that the page has counts where the pod is of a shared process; what is down is the process."""
    flow = placed({"groups": [{"name": "core", "services": ["order", "payment"]}]})
    built = objects(flow, monitoring=Monitoring())
    endpoint = built["PodMonitor", "shop"]["spec"]["podMetricsEndpoints"][0]
    core = next(one.name for one in processes(flow) if one.is_shared)
    assert endpoint["metricRelabelings"][0]["regex"] == f"(?:{core});(.+)"
    assert (
        "metricRelabelings"
        not in objects(placed({}), monitoring=Monitoring())["PodMonitor", "shop"]["spec"]["podMetricsEndpoints"][0]
    )
    rules = json.dumps(built["PrometheusRule", "shop"])
    assert all(f'service=\\"{name}\\"}} == 1' in rules.replace("\\\\", "\\") for name in (core, "inventory"))
