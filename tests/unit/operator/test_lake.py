"""`spec.analytics.lake` on a cluster: one pod that reads what the sink stored, as itself, and is told all."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from orderflow_model.findings import InvalidResourceError
from orderflow_model.lint.flow import lint
from orderflow_model.loading.load import parse_flow
from orderflow_operator.reconciler.network import addresses

Json = dict[str, Any]
Built = dict[tuple[str, str], Json]
KEYS = {
    "accessKeyId": {"secretKeyRef": {"name": "store", "key": "id"}},
    "secretAccessKey": {"secretKeyRef": {"name": "store", "key": "secret"}},
}


def with_lake(document: Json, **more: Any) -> Json:
    """The reference flow with a lake in an object store of its namespace."""
    lake = {
        "url": "s3://lake/shop",
        "image": "orderflow/analytics:dev",
        "endpoint": "http://store:9000",
        "credentials": KEYS,
    }
    analytics = {"image": "orderflow/services:dev", "contracts": "orderflow_shop.events", "lake": lake} | more
    return document | {"spec": document["spec"] | {"analytics": analytics}}


@pytest.fixture
def built(document: Json, build: Callable[..., Built]) -> Built:
    """All objects of that flow."""
    return build(parse_flow(with_lake(document)))


def test_one_pod_fills_the_lake_with_all_that_it_needs(built: Built) -> None:
    """By its own role and account, with the keys of the store from the Secret that is named, and a disk to work in."""
    deployment = built["Deployment", "shop-lake"]
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    env = {one["name"]: one.get("value") or one["valueFrom"] for one in container["env"]}
    assert deployment["spec"]["replicas"] == 1
    assert (container["image"], container["command"][-1]) == ("orderflow/analytics:dev", "orderflow_analytics.exporter")
    assert env["AWS_SECRET_ACCESS_KEY"] == {"secretKeyRef": {"name": "store", "key": "secret"}}
    assert (env["AWS_ENDPOINT_URL"], env["AWS_ALLOW_HTTP"]) == ("http://store:9000", "true")
    assert env["ORDERFLOW_DATABASE_URL"]["secretKeyRef"]["name"] == "shop-lake.database"
    assert not any(name.startswith("ORDERFLOW_KAFKA") for name in env)
    mounted = {one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly")}
    assert mounted == {env["TMPDIR"]}
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert spec["serviceAccountName"] == "shop.lake"
    assert not built["ServiceAccount", "shop.lake"]["automountServiceAccountToken"]


def test_it_is_told_of_the_flow_and_nothing_of_kafka(document: Json, build: Callable[..., Built]) -> None:
    """Events, what is personal, contracts, and for how many days each place keeps what."""
    document["spec"]["events"][0]["personalData"] = ["/customer/name"]
    kept = {"stored": "720h", "lake": "8760h", "events": [{"event": "ORDER_CREATED", "stored": "49h"}]}
    built = build(parse_flow(with_lake(document, retention=kept)))
    template = built["Deployment", "shop-lake"]["spec"]["template"]
    told = json.loads(template["metadata"]["annotations"]["orderflow.dev/config"])["lake"]
    assert (told["url"], told["contracts"], told["storedDays"], told["lakeDays"]) == (
        "s3://lake/shop",
        "orderflow_shop.events",
        30,
        365,
    )
    assert told["events"][0] == {
        "name": "ORDER_CREATED",
        "topic": "shop.order-created",
        "personal": ["/customer/name"],
        "storedDays": 3,
        "lakeDays": None,
    }
    assert ("KafkaUser", "shop-lake") not in built
    assert "lake" not in json.loads(
        built["Deployment", "shop-order"]["spec"]["template"]["metadata"]["annotations"]["orderflow.dev/config"]
    )


def test_without_a_lake_nothing_of_it_is_there(document: Json, build: Callable[..., Built]) -> None:
    """A flow that only keeps its events has the sink alone."""
    flow = parse_flow(with_lake(document, lake=None))
    assert not [name for _, name in build(flow) if "lake" in name]
    assert parse_flow(with_lake(document)).pictured() == flow


def test_the_store_is_reached_in_the_flows_own_namespace(document: Json) -> None:
    """Its port is opened as those of Kafka and Postgres are; AWS is the administrator's to open."""
    assert ("store", 9000) in addresses(parse_flow(with_lake(document)), None)
    lake = {"url": "s3://lake/shop", "image": "i:1"}
    assert addresses(parse_flow(with_lake(document, lake=lake)), None) == addresses(parse_flow(document), None)


def refusals(flow: Json) -> dict[str, str]:
    """What lint says, by place."""
    return {finding.path: finding.message for finding in lint(parse_flow(flow))}


def test_a_lake_may_not_prove_itself_as_a_service_or_as_the_admin(document: Json) -> None:
    """The one rule for Secrets that a resource names holds for it too."""
    place = "spec.analytics.lake.credentials.accessKeyId.secretKeyRef"
    for name in ("shop-order.database", document["spec"]["database"]["secretKeyRef"]["name"]):
        flow = with_lake(document)
        keys = KEYS | {"accessKeyId": {"secretKeyRef": {"name": name, "key": "x"}}}
        flow["spec"]["analytics"]["lake"]["credentials"] = keys
        assert place in refusals(flow)


def test_the_name_of_the_lakes_program_is_taken(document: Json) -> None:
    """A service of that name would share role and schema with it; a group cannot have it."""
    document["spec"]["services"][4]["name"] = "lake"
    assert "calls its own program" in refusals(with_lake(document))["spec.services[4].name"]
    assert "spec.services[4].name" not in refusals(document)


def test_what_is_kept_by_itself_is_an_event_of_the_flow(document: Json) -> None:
    """A slip of the pen would keep for ever what was to go."""
    kept = {"events": [{"event": "ORDER_CREATE", "stored": "48h"}]}
    message = refusals(with_lake(document, retention=kept))["spec.analytics.retention.events[0].event"]
    assert "did you mean ORDER_CREATED?" in message


@pytest.mark.parametrize("endpoint", ["http://store:65536", "http://store:99999", "https://store:0"])
def test_a_port_that_no_store_can_have_is_refused_at_its_place(document: Json, endpoint: str) -> None:
    """Before anybody opens a way to it: the reconcile would end with it, and the flow never say why."""
    document = with_lake(document)
    document["spec"]["analytics"]["lake"]["endpoint"] = endpoint
    with pytest.raises(InvalidResourceError, match=r"spec\.analytics\.lake\.endpoint"):
        parse_flow(document)


@pytest.mark.parametrize(("endpoint", "port"), [("http://store:65535", 65_535), ("https://store", 443)])
def test_the_port_of_a_store_is_the_one_that_is_opened(document: Json, endpoint: str, port: int) -> None:
    """Its own, or the scheme's."""
    document = with_lake(document)
    document["spec"]["analytics"]["lake"]["endpoint"] = endpoint
    assert ("store", port) in addresses(parse_flow(document), None)
