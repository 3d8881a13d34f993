"""From the picture to the objects: properties that hold for every flow, and two flows reviewed by eye."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orderflow_model import environment
from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import parse_flow
from orderflow_operator.monitoring.settings import Monitoring
from orderflow_operator.resources import removaljob
from orderflow_operator.resources.build_context import BuildContext, Database, Network
from orderflow_operator.resources.desired import desired
from orderflow_operator.resources.pod import SCRATCH

GOLDEN = Path(__file__).parent / "golden"

Build = Callable[..., dict[tuple[str, str], dict[str, Any]]]

EVENTS = [f"EVENT_{number}" for number in range(6)]
some_events = st.lists(st.sampled_from(EVENTS), unique=True, max_size=6)


def is_free(name: str) -> bool:
    """Whether Postgres leaves a service that name."""
    return not name.startswith("pg-") and name not in ("pg", "public", "information-schema")


@st.composite
def flows(draw: st.DrawFn) -> OrderFlow:
    """Any flow of up to four services over six events, on either provisioner."""
    names = st.from_regex(r"[a-z][-a-z]{0,20}[a-z]", fullmatch=True).filter(is_free)
    services = []
    for name in draw(st.lists(names, unique=True, min_size=1, max_size=4)):
        least = draw(st.integers(1, 3))
        scale = {"min": least, "max": draw(st.integers(least, 6))}
        hears = draw(some_events)
        service = {"name": name, "image": draw(st.sampled_from(["a:1", "b:2"])), "subscribes": hears, "scale": scale}
        services.append(service | {"publishes": draw(some_events) if hears else [EVENTS[0]]})
    admin = {
        "provisioner": "Admin",
        "bootstrapServers": ["kafka:9092"],
        "authentication": {"type": "ScramSha256", "username": "root", "secretKeyRef": {"name": "k", "key": "p"}},
    }
    return parse_flow(
        {
            "apiVersion": "orderflow.dev/v1alpha1",
            "kind": "OrderFlow",
            "metadata": {"name": draw(st.sampled_from(["a", "f" * 30, "shop-x"])), "namespace": "n", "uid": "u"},
            "spec": {
                "kafka": draw(st.sampled_from([{"cluster": "events"}, admin])),
                "database": {"secretKeyRef": {"name": "db", "key": "uri"}},
                "events": [{"name": name} for name in EVENTS],
                "services": services or [{"name": "s", "image": "a:1", "publishes": EVENTS[:1]}],
                "deletionPolicy": draw(st.sampled_from(["Retain", "Delete"])),
            },
        }
    )


any_flow = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The objects of one kind."""
    return [one for one in objects if one["kind"] == kind]


@any_flow
@given(flows(), st.booleans())
def test_names_are_unique_and_short_enough(flow: OrderFlow, keda: bool) -> None:
    """No two objects meet under one name, and what Kubernetes or KEDA derive from a name still fits."""
    objects = desired(flow, BuildContext(keda=keda, database=Database(), monitoring=Monitoring()))
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 63 for kind, name in names if kind != "KafkaTopic")
    assert all(len(f"keda-hpa-{name}") <= 63 for kind, name in names if kind == "ScaledObject")
    assert all(len(value) <= 63 for one in objects for value in one["metadata"]["labels"].values())


@any_flow
@given(flows())
def test_every_object_says_whose_it_is(flow: OrderFlow) -> None:
    """Labels name the flow; the flow owns all but topics that are to outlive it."""
    for one in desired(flow, BuildContext(keda=True, database=Database(), monitoring=Monitoring())):
        metadata = one["metadata"]
        assert metadata["labels"]["orderflow.dev/flow"] == flow.metadata.name
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "orderflow"
        outlives = one["kind"] == "KafkaTopic" and flow.spec.deletion_policy == "Retain"
        assert ("ownerReferences" not in metadata) is outlives


@any_flow
@given(flows())
def test_access_is_exactly_the_matrix(flow: OrderFlow) -> None:
    """A service reads what it subscribes, writes what it publishes and its dead letters, in its own group: no more."""
    objects = desired(flow, BuildContext(keda=True, database=Database()))
    users = {one["metadata"]["name"]: one for one in of_kind(objects, "KafkaUser")}
    if flow.spec.kafka.provisioner == "Admin":
        assert users == {}
        return
    name = flow.metadata.name
    for service in flow.spec.services:
        wanted = {("topic", f"{name}.{event.lower().replace('_', '-')}", "Read") for event in service.subscribes}
        wanted |= {("topic", f"{name}.{event.lower().replace('_', '-')}", "Write") for event in service.publishes}
        if service.subscribes:
            wanted.add(("topic", f"{name}.{service.name}.dead-letters", "Write"))
            wanted.add(("group", f"{name}.{service.name}", "Read"))
        assert granted(users[f"{name}-{service.name}"]) == wanted
    scaled = of_kind(objects, "ScaledObject")
    assert (f"{name}.autoscaler" in users) == bool(scaled)
    if scaled:
        assert {operation for _, _, operation in granted(users[f"{name}.autoscaler"])} == {"Describe"}


def granted(user: dict[str, Any]) -> set[tuple[str, str, str]]:
    """What a KafkaUser may do: type, name and operation."""
    return {
        (rule["resource"]["type"], rule["resource"]["name"], operation)
        for rule in user["spec"]["authorization"]["acls"]
        for operation in rule["operations"]
        if rule["type"] == "allow" and rule["resource"]["patternType"] == "literal"
    }


@any_flow
@given(flows())
def test_every_pod_is_restricted(flow: OrderFlow) -> None:
    """No pod has a token, a right, a writable root or a volume of its node's; temporary files have their place."""
    objects = desired(flow, BuildContext(database=Database()))
    for one in [*of_kind(objects, "Deployment"), *of_kind(objects, "Job")]:
        pod = one["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        assert not [
            volume for volume in pod["volumes"] if volume.keys() - {"name", "secret", "projected", "downwardAPI"}
        ]
        for container in pod["containers"]:
            assert SCRATCH in container["env"]
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }


@any_flow
@given(flows(), st.booleans())
def test_replicas_are_left_to_the_autoscaler(flow: OrderFlow, keda: bool) -> None:
    """Each service has one who says how many pods there are: the resource, KEDA or the load."""
    objects = desired(flow, BuildContext(keda=keda, database=Database()))
    scaled = {one["metadata"]["name"] for one in objects if one["kind"] in ("ScaledObject", "HorizontalPodAutoscaler")}
    fixed = {one["metadata"]["name"] for one in of_kind(objects, "Deployment") if "replicas" in one["spec"]}
    assert scaled & fixed == set()
    assert len(scaled | fixed) == len(flow.spec.services)


def test_same_flow_gives_same_objects(shop: OrderFlow, context: BuildContext) -> None:
    """What is wanted depends on nothing but the flow and its surroundings."""
    assert json.dumps(desired(shop, context)) == json.dumps(desired(shop, context))


@any_flow
@given(flows())
def test_no_object_has_an_empty_list(flow: OrderFlow) -> None:
    """The API server counts one as nobody's field: such an object would never be found as it was applied."""
    context = BuildContext(keda=True, database=Database(), monitoring=Monitoring())
    jobs = [removaljob.build(flow, keep) for keep in ([], ["one"])]
    for one in [*desired(flow, context), *jobs]:
        assert not list(_empty(one, "")), one["kind"]


def _empty(value: Any, place: str) -> Iterator[str]:
    """Give the places of empty lists."""
    if isinstance(value, list) and not value:
        yield place
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in entries:
        yield from _empty(below, f"{place}.{key}")


def test_pod_and_laptop_have_the_same_environment(shop: OrderFlow, build: Build) -> None:
    """A pod starts from the variables that the runtime reads, and none of ours is unknown to it."""
    container = build(shop)[("Deployment", "shop-payment")]["spec"]["template"]["spec"]["containers"][0]
    names = {variable["name"] for variable in container["env"]}
    known = {value for name, value in vars(environment).items() if name.isupper() and str(value).startswith("ORDER")}
    assert {name for name in names if name.startswith("ORDERFLOW_")} <= known
    assert {environment.CONFIG, environment.DATABASE_URL, environment.KAFKA_BOOTSTRAP, environment.INSTANCE} <= names
    assert {"name": "PAYMENT_PROVIDER_URL", "value": "http://payment-provider:8090"} in container["env"]


@pytest.mark.parametrize(("drain", "grace"), [(None, 60), ("1ms", 56), ("1500ms", 57), ("2m", 175)])
def test_a_pod_is_given_the_time_that_its_end_takes(
    document: dict[str, Any], build: Build, drain: str | None, grace: int
) -> None:
    """Its drain is told to it in whole seconds, and comes on top of what else the end of a process may take."""
    if drain:
        document["spec"]["services"][0] |= {"httpDrain": drain, "httpKeepAlive": "10m"}
    spec = build(parse_flow(document))["Deployment", "shop-order"]["spec"]["template"]["spec"]
    told = {variable["name"]: variable.get("value") for variable in spec["containers"][0]["env"]}
    assert spec["terminationGracePeriodSeconds"] == grace
    assert told[environment.HTTP_DRAIN] == str(grace - 55)
    assert told[environment.HTTP_KEEP_ALIVE] == ("600" if drain else "75")


def test_a_changed_matrix_rolls_only_the_pods_it_concerns(document: dict[str, Any], build: Build) -> None:
    """A pod starts anew when what it is told of itself changes, and only then."""
    before = build(parse_flow(document))
    document["spec"]["services"][2]["delivery"] = {"retries": 9}
    after = build(parse_flow(document))
    changed = {name for kind, name in before if kind == "Deployment" and before[kind, name] != after[kind, name]}
    assert changed == {"shop-payment"}


def test_a_migration_is_told_whose_data_was_elsewhere(shop: OrderFlow, build: Build, context: BuildContext) -> None:
    """A service that is new begins where the database is by now; one that comes back to a place has its data there."""
    assert context.database
    here, there = context.database.fingerprint, "elsewhere"
    moved = replace(context, places={"inventory": (there,), "order": (here,), "payment": (here, there)})
    told = {}
    for (kind, _), job in build(shop, moved).items():
        if kind == "Job":
            task = json.loads(job["spec"]["template"]["metadata"]["annotations"]["orderflow.dev/migration"])
            told |= {service: task.get("moved") for service in task["services"]}
    assert {service for service, moved in told.items() if moved} == {"inventory", "payment"}
    assert told["inventory"] == ["inventory"]


def test_another_image_is_another_migration(document: dict[str, Any], build: Build) -> None:
    """Each service has a migration job of its own, whose name changes with what it runs; the others' stay."""
    before = build(parse_flow(document))
    document["spec"]["services"][1]["image"] = "elsewhere/inventory:2"
    gone = {key: one for key, one in before.items() if key[0] == "Job" and key not in build(parse_flow(document))}
    assert [one["metadata"]["labels"]["orderflow.dev/service"] for one in gone.values()] == ["inventory"]
    jobs = [one["spec"]["template"] for (kind, _), one in before.items() if kind == "Job"]
    assert len(jobs) == len(document["spec"]["services"])
    assert not [job for job in jobs if "orderflow.dev/service" in job["metadata"]["labels"]], "no Service finds its pod"


def test_pods_of_the_version_before_find_what_they_were_told(document: dict[str, Any], build: Build) -> None:
    """What a service is told stands in its pods' own version: no other object that an edit changes is mounted."""
    before = build(parse_flow(document))
    document["spec"]["services"][1]["delivery"] = {"retries": 2}
    after = build(parse_flow(document))
    told = {key for key in before if before[key] != after.get(key)}
    assert told == {("Deployment", "shop-inventory")}
    template = after["Deployment", "shop-inventory"]["spec"]["template"]
    assert '"retries":2' in template["metadata"]["annotations"]["orderflow.dev/config"]
    (volume,) = (one for one in template["spec"]["volumes"] if one["name"] == "config")
    (item,) = volume["downwardAPI"]["items"]
    assert item["fieldRef"]["fieldPath"] == "metadata.annotations['orderflow.dev/config']"


def test_the_most_that_a_service_is_told_fits_into_its_pods(document: dict[str, Any], build: Build) -> None:
    """Kubernetes takes 256 KiB of annotations: room for 200 events of the longest names, heard and published."""
    names = [f"E{number:03}".ljust(100, "X") for number in range(200)]
    events = [
        {"name": name, "topic": {"name": name.lower().ljust(249, "x"), "config": {"max.message.bytes": "1000000"}}}
        for name in names
    ]
    service = document["spec"]["services"][0] | {"subscribes": names, "publishes": names}
    for part in ("saga", "objectives"):
        document["spec"].pop(part, None)
    document["spec"] |= {"events": events, "services": [service]}
    annotations = build(parse_flow(document))["Deployment", "shop-order"]["spec"]["template"]["metadata"]["annotations"]
    size = sum(len(key) + len(value) for key, value in annotations.items())
    assert size < 256 * 1024, size


def test_the_migration_is_told_whose_flow_it_is_and_where_files_are(document: dict[str, Any], build: Build) -> None:
    """The owner tells it from a flow of that name elsewhere; saying where files are makes its job another."""
    before = build(parse_flow(document))
    document["spec"]["services"][1]["migrations"] = "sql"
    after = build(parse_flow(document))
    (job,) = (one for (kind, name), one in after.items() if kind == "Job" and (kind, name) not in before)
    told = json.loads(job["spec"]["template"]["metadata"]["annotations"]["orderflow.dev/migration"])
    assert (told["owner"], told["migrations"]) == (f"{document['metadata']['namespace']}/shop", {"inventory": "sql"})
    assert list(told["services"]) == ["inventory"]


def test_a_topic_with_a_name_kubernetes_refuses_gets_another(document: dict[str, Any], build: Build) -> None:
    """The object's name is legal and the topic's is kept."""
    for name in ("Orders_Created", "orders-created", "a" * 249, "A" * 249, "-.-"):
        document["spec"]["events"][0]["topic"] = {"name": name}
        topics = [one for (kind, _), one in build(parse_flow(document)).items() if kind == "KafkaTopic"]
        found = next(one for one in topics if one["spec"]["topicName"] == name)
        assert re.fullmatch(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?", found["metadata"]["name"])


def test_only_the_migration_holds_the_admin_secret(shop: OrderFlow, build: Build) -> None:
    """No service's pod refers to the admin secret of the database."""
    holders = {kind for (kind, _), one in build(shop).items() if '"shop-db"' in json.dumps(one)}
    assert holders == {"Job"}


def test_a_flow_opens_no_way_out_of_its_namespace(document: dict[str, Any]) -> None:
    """Whatever brokers and collector it names: but for DNS each rule is for pods of its own namespace."""
    document["spec"]["kafka"] = {"provisioner": "Admin", "bootstrapServers": ["203.0.113.9:22", "kafka.other.svc:6379"]}
    document["spec"]["tracing"] = {"endpoint": "http://metadata.example:80"}
    context = BuildContext(database=Database(), ports=(22, 80, 6379))
    policy = of_kind(desired(parse_flow(document), context), "NetworkPolicy")[0]
    dns, *others = policy["spec"]["egress"]
    assert {port["port"] for port in dns["ports"]} == {53, 5353}
    assert [rule["to"] for rule in others] == [[{"podSelector": {}}]]


def test_the_administrator_says_where_flows_may_go_besides(shop: OrderFlow) -> None:
    """Rules of the operator's options stand in each flow's policy as they are; so do the ports of DNS."""
    rule = {"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}], "ports": [{"protocol": "TCP", "port": 5432}]}
    context = BuildContext(database=Database(), network=Network((1053,), (rule,)))
    policy = of_kind(desired(shop, context), "NetworkPolicy")[0]
    assert rule in policy["spec"]["egress"]
    assert {port["port"] for port in policy["spec"]["egress"][0]["ports"]} == {1053}


@pytest.mark.parametrize("kind", ["Deployment", "KafkaUser", "KafkaTopic", "ScaledObject", "NetworkPolicy", "Job"])
def test_objects_are_those_reviewed_by_eye(kind: str, shop: OrderFlow, build: Build) -> None:
    """One object of each kind stands in a golden file, written out as a person would read it."""
    golden = yaml.safe_load((GOLDEN / f"{kind.lower()}.yaml").read_text())
    assert build(shop)[kind, golden["metadata"]["name"]] == golden
