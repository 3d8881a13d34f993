"""Who was there first keeps topics and names; when it goes, those who wanted the same get their turn."""

import copy
from typing import Any

import pytest

from orderflow_model.conditions import VALID
from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import parse_flow
from orderflow_model.status import Condition, EventStatus, FlowStatus, ServiceStatus, TopicStatus, Truth
from orderflow_model.topics import event_topic
from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.reconciler.ownership import OwnershipIndex


def flow(document: dict[str, Any], name: str, namespace: str = "team-a", topic: str = "") -> OrderFlow:
    """The reference flow under another name; its first event's topic as given."""
    data = copy.deepcopy(document)
    data["metadata"] |= {"name": name, "namespace": namespace, "uid": f"uid-{namespace}-{name}"}
    if topic:
        data["spec"]["events"][0]["topic"] = {"name": topic}
    return parse_flow(data)


@pytest.fixture
def claims(document: dict[str, Any]) -> OwnershipIndex:
    """What the flow `shop` claims, made at time 2."""
    found = OwnershipIndex()
    found.put(FlowKey("team-a", "shop"), flow(document, "shop"), "2")
    return found


def conflicts(claims: OwnershipIndex, other: OrderFlow, since: str) -> list[str]:
    """What another flow is told."""
    key = FlowKey(other.metadata.namespace or "", other.metadata.name)
    return [f"{one.reason}: {one.finding.message}" for one in claims.conflicts(key, other, since)]


def test_a_later_flow_is_told_whose_the_topic_is(document: dict[str, Any], claims: OwnershipIndex) -> None:
    """The message names topic and owner."""
    other = flow(document, "other", topic="shop.order-created")
    assert conflicts(claims, other, "3") == [
        "TopicConflict: topic shop.order-created belongs to OrderFlow team-a/shop",
    ]


def test_an_earlier_flow_is_not_bothered(document: dict[str, Any], claims: OwnershipIndex) -> None:
    """Age decides, not who comes first to be reconciled."""
    assert conflicts(claims, flow(document, "other", topic="shop.order-created"), "1") == []


def test_kafka_takes_dot_and_underscore_as_the_same(document: dict[str, Any], claims: OwnershipIndex) -> None:
    """Topics whose metrics would collide are one claim."""
    assert conflicts(claims, flow(document, "other", topic="shop_order-created"), "3") != []


def test_a_strimzi_cluster_is_known_within_its_namespace(document: dict[str, Any], claims: OwnershipIndex) -> None:
    """The same flow in another namespace lives on another Kafka."""
    assert conflicts(claims, flow(document, "shop", namespace="team-b"), "3") == []


def test_brokers_are_the_same_by_any_common_address(document: dict[str, Any]) -> None:
    """By the admin API, flows of all namespaces may meet on one Kafka."""
    claims = OwnershipIndex()
    document["spec"]["kafka"] = {"provisioner": "Admin", "bootstrapServers": ["a:9092", "b:9092"]}
    claims.put(FlowKey("team-a", "shop"), flow(document, "shop"), "1")
    document["spec"]["kafka"]["bootstrapServers"] = ["c:9092", "b:9092"]
    told = conflicts(claims, flow(document, "shop", namespace="team-b"), "2")
    assert "TopicConflict: topic shop.order-created belongs to OrderFlow team-a/shop" in told


def test_objects_of_the_same_name_are_a_conflict(document: dict[str, Any]) -> None:
    """Flow `a` with service `b-c` and flow `a-b` with `c` would make the same objects."""
    claims = OwnershipIndex()
    document["spec"]["services"][0]["name"] = "b-c"
    claims.put(FlowKey("team-a", "a"), flow(document, "a"), "1")
    document["spec"]["services"][0]["name"] = "c"
    told = conflicts(claims, flow(document, "a-b"), "2")
    assert told == ["ObjectConflict: objects named a-b-c belong to OrderFlow team-a/a"]


def test_who_waited_is_told_when_the_owner_goes(document: dict[str, Any], claims: OwnershipIndex) -> None:
    """What one flow gives free, the other may have."""
    other, key = flow(document, "other", topic="shop.order-created"), FlowKey("team-a", "other")
    claims.put(key, other, "3")
    assert claims.drop(FlowKey("team-a", "shop")) == {key}
    assert conflicts(claims, other, "3") == []


def test_a_renamed_topic_is_free_again(document: dict[str, Any], claims: OwnershipIndex) -> None:
    """Claims follow the edits of a flow."""
    claims.put(FlowKey("team-a", "shop"), flow(document, "shop", topic="elsewhere"), "2")
    assert conflicts(claims, flow(document, "other", topic="shop.order-created"), "3") == []
    assert conflicts(claims, flow(document, "other", topic="elsewhere"), "3") != []


@pytest.mark.parametrize(("provisioner", "refused"), [("Strimzi", True), ("Admin", False)])
def test_the_secret_of_another_flows_user_is_nobodys_to_name(
    document: dict[str, Any], provisioner: str, refused: bool
) -> None:
    """Strimzi calls it as the service's objects; without Strimzi such a Secret is a person's own."""
    claims, kafka = OwnershipIndex(), document["spec"]["kafka"]
    if provisioner == "Admin":
        document["spec"]["kafka"] = {"provisioner": "Admin", "bootstrapServers": ["a:9092"]}
    claims.put(FlowKey("team-a", "shop"), flow(document, "shop"), "2")
    document["spec"]["kafka"] = kafka
    named = {"name": "TAKEN", "valueFrom": {"secretKeyRef": {"name": "shop-payment", "key": "password"}}}
    document["spec"]["services"][1]["env"] = [named]
    told = conflicts(claims, flow(document, "later"), "3")
    wanted = "SecretConflict: Secret shop-payment is what Strimzi makes for a service of OrderFlow team-a/shop"
    assert told == ([wanted] if refused else [])
    assert conflicts(claims, flow(document, "elsewhere", namespace="team-b"), "3") == []


def naming(document: dict[str, Any], secret: str) -> OrderFlow:
    """The flow `earlier`, one of whose services names a Secret."""
    named = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": secret, "key": "password"}}}
    changed = copy.deepcopy(document)
    changed["spec"]["services"][1]["env"] = [named]
    return flow(changed, "earlier")


@pytest.mark.parametrize("first", ["the Secret is named", "the service is there"])
@pytest.mark.parametrize("restarted", [False, True])
def test_of_a_secret_and_a_user_of_its_name_the_newer_is_refused(
    document: dict[str, Any], first: str, restarted: bool
) -> None:
    """Whichever of the flows is older: what was granted counts, also where only the statuses tell of it."""
    document["metadata"]["generation"] = 1
    namer, maker, secret = (
        naming(document, "shop-payment"),
        flow(document, "shop"),
        "SecretConflict: Secret shop-payment",
    )
    flows = {EARLIER: namer, SHOP: maker}
    words = {
        EARLIER: f"{secret} is what Strimzi makes for a service of OrderFlow team-a/shop",
        SHOP: f"{secret}, which Strimzi would make for this service, is named by OrderFlow team-a/earlier",
    }
    has, wants = (EARLIER, SHOP) if first == "the Secret is named" else (SHOP, EARLIER)
    claims = OwnershipIndex()
    if restarted:
        claims.put(has, flows[has], "2", told(flows[has]))
    else:
        claims.grant(has, flows[has], "2")
    claims.put(wants, flows[wants], "1")
    assert conflicts(claims, flows[has], "2") == []
    assert conflicts(claims, flows[wants], "1") == [words[wants]]


def test_two_flows_may_name_one_secret(document: dict[str, Any], claims: OwnershipIndex) -> None:
    """It is nobody's alone."""
    claims.grant(EARLIER, naming(document, "a-token"), "1")
    other = copy.deepcopy(document)
    other["spec"]["services"][1]["env"] = [
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "a-token", "key": "password"}}}
    ]
    assert conflicts(claims, flow(other, "shop"), "2") == []


@pytest.mark.parametrize("still", ["granted", "refused"])
def test_who_waited_is_told_when_an_edit_gives_it_free(document: dict[str, Any], still: str) -> None:
    """A topic, an object's name and a Secret's: as if the flow that had them had gone; once."""
    claims, extra = OwnershipIndex(), copy.deepcopy(document)
    extra["spec"]["services"][1]["env"] = [
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "third-payment", "key": "password"}}}
    ]
    extra["spec"]["events"][0]["topic"] = {"name": "wanted"}
    claims.grant(SHOP, flow(extra, "shop"), "1")
    claims.put(EARLIER, flow(document, "earlier", topic="wanted"), "2")
    claims.put(FlowKey("team-a", "third"), flow(document, "third"), "2")
    free = flow(document, "shop")
    change = claims.grant if still == "granted" else claims.put
    assert change(SHOP, free, "1") == {EARLIER, FlowKey("team-a", "third")}
    assert change(SHOP, free, "1") == set()


SHOP, EARLIER = FlowKey("team-a", "shop"), FlowKey("team-a", "earlier")


def told(has: OrderFlow, valid: Truth = Truth.TRUE, generation: int = 1) -> FlowStatus:
    """The status of a flow that has all it names."""
    events = has.spec.events
    judged = Condition(
        type=VALID,
        status=valid,
        reason="Any",
        observed_generation=generation,
        last_transition_time="2026-01-01T00:00:00Z",
    )
    topics = {event.name: event_topic(has, event).name for event in events}
    return FlowStatus(
        observed_generation=generation,
        conditions=(judged,),
        events=tuple(
            EventStatus(name=name, topic=topic, partitions=1, ready=Truth.FALSE) for name, topic in topics.items()
        ),
        services=tuple(ServiceStatus(name=one.name, image="a:1", ready=0, desired=1) for one in has.spec.services),
        topics=tuple(TopicStatus(name=topic, made=Truth.TRUE) for topic in topics.values()),
    )


def on_admin(document: dict[str, Any], *servers: str) -> None:
    """Set the Kafka of flows made after this to one without Strimzi."""
    document["spec"]["kafka"] = {"provisioner": "Admin", "bootstrapServers": list(servers)}
    document["metadata"]["generation"] = 1


@pytest.mark.parametrize("provisioner", ["Strimzi", "Admin"])
@pytest.mark.parametrize("topic", ["shop.order-created", "shop.payment.dead-letters"])
@pytest.mark.parametrize("restarted", [False, True])
def test_an_older_flow_that_is_edited_takes_no_topic(
    document: dict[str, Any], provisioner: str, topic: str, restarted: bool
) -> None:
    """Who has the topic keeps it, however young; after a restart, in any order, the statuses tell."""
    if provisioner == "Admin":
        on_admin(document, "a:9092")
    claims, young = OwnershipIndex(), flow(document, "shop")
    old, edited = flow(document, "earlier"), flow(document, "earlier", topic=topic)
    if restarted:
        claims.put(EARLIER, edited, "1", told(old))
        claims.put(SHOP, young, "2", told(young))
    else:
        claims.grant(EARLIER, old, "1")
        claims.grant(SHOP, young, "2")
        claims.put(EARLIER, edited, "1", told(old))
    assert conflicts(claims, young, "2") == []
    assert conflicts(claims, edited, "1") == [f"TopicConflict: topic {topic} belongs to OrderFlow team-a/shop"]


@pytest.mark.parametrize("restarted", [False, True])
def test_an_older_flow_that_is_edited_takes_no_objects(document: dict[str, Any], restarted: bool) -> None:
    """A service that is added cannot be called as another flow's."""
    claims, key, service = OwnershipIndex(), FlowKey("team-a", "a"), document["spec"]["services"][0]
    old = flow(document, "a")
    service["name"] = "b-c"
    edited = flow(document, "a")
    service["name"] = "c"
    young = flow(document, "a-b")
    if restarted:
        claims.put(FlowKey("team-a", "a-b"), young, "2", told(young))
    else:
        claims.grant(key, old, "1")
        claims.grant(FlowKey("team-a", "a-b"), young, "2")
    claims.put(key, edited, "1", told(old))
    assert conflicts(claims, young, "2") == []
    assert conflicts(claims, edited, "1") == ["ObjectConflict: objects named a-b-c belong to OrderFlow team-a/a-b"]


@pytest.mark.parametrize("seen", ["granted", "refused", "unseen"])
def test_a_topic_at_one_kafka_is_no_claim_at_another(document: dict[str, Any], seen: str) -> None:
    """A flow that moves is told whose the topic is there, though its status tells of its own of that name elsewhere."""
    claims = OwnershipIndex()
    on_admin(document, "a:9092")
    before, theirs = flow(document, "earlier", topic="shop.order-created"), "shop.order-created"
    on_admin(document, "b:9092")
    young = flow(document, "shop")
    document["metadata"]["generation"] = 2
    moved = flow(document, "earlier", topic=theirs)
    if seen == "granted":
        claims.grant(EARLIER, before, "1")
    status = told(before, Truth.FALSE, 2) if seen == "refused" else told(before)
    claims.put(EARLIER, moved, "1", status)
    claims.put(SHOP, young, "2", told(young))
    assert conflicts(claims, young, "2") == []
    assert conflicts(claims, moved, "1") == [f"TopicConflict: topic {theirs} belongs to OrderFlow team-a/shop"]
