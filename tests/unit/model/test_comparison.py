"""A flow against its former self and against other flows."""

from copy import deepcopy
from typing import Any

import pytest

from orderflow_model.comparison import lint_change, lint_ownership
from orderflow_model.flow import OrderFlow
from orderflow_model.loading import parse_flow

ADMIN = {"provisioner": "Admin", "bootstrapServers": ["kafka:9092"]}


def other(shop: OrderFlow, **changes: Any) -> OrderFlow:
    """The same flow under another name or namespace, with parts of its spec replaced."""
    data = deepcopy(shop.model_dump(mode="json", exclude_none=True))
    data["metadata"] |= changes.pop("metadata", {})
    data["spec"] |= changes
    return parse_flow(data)


CHANGES = [
    ({"spec.events[0].topic.partitions": 6}, "spec.events[0].topic", "cannot shrink"),
    ({"spec.events[0].topic": {}}, "spec.events[0].topic.partitions", "has 12 partitions and cannot shrink to 6"),
    ({"spec.defaults.topic.partitions": 5}, "spec.events[1].topic.partitions", "cannot shrink to 5"),
    ({"spec.events[0].topic.name": "orders"}, "spec.events[0].topic", "topic.name cannot change"),
    ({"spec.kafka.cluster": "other"}, "spec.kafka", "cluster cannot change"),
    ({"spec.kafka": ADMIN}, "spec.kafka", "provisioner cannot change"),
]


@pytest.mark.parametrize(("changes", "place", "words"), CHANGES)
def test_an_edit_that_cannot_be_done_is_refused(
    shop: OrderFlow, edited: Any, changes: dict[str, Any], place: str, words: str
) -> None:
    """Fewer partitions, another topic name and another Kafka are each refused at their place."""
    found = lint_change(shop, parse_flow(edited(changes)))
    assert any(finding.path == place and words in finding.message for finding in found)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"spec.events[0].topic.partitions": 24},
        {"spec.events[0].topic.retention": "1h"},
        {"spec.events[11].name": "PARCEL_LOST"},
        {"spec.services[4].scale.max": 2},
    ],
)
def test_an_edit_that_can_be_done_is_not_refused(shop: OrderFlow, edited: Any, changes: dict[str, Any]) -> None:
    """More partitions, other retention, events that come and go, and other scale are all legal edits."""
    assert lint_change(shop, parse_flow(edited(changes))) == ()


def test_a_flow_does_not_conflict_with_itself(shop: OrderFlow) -> None:
    """The flow among the others is the same flow, not a rival."""
    assert lint_ownership(shop, [shop]) == ()


def test_a_topic_of_another_flow_is_named_with_its_owner(shop: OrderFlow) -> None:
    """A flow of the same name elsewhere on the same Kafka owns every topic of this one."""
    rival = other(shop, metadata={"namespace": "team-b"})
    found = {finding.path: finding.message for finding in lint_ownership(shop, [rival])}
    assert found["spec.events[0].topic.name"] == "topic shop.order-created belongs to OrderFlow team-b/shop"
    assert "shop.order.dead-letters" in found["spec.services[0].name"]


def test_flows_on_other_kafkas_share_no_topic(shop: OrderFlow) -> None:
    """The same names on another cluster, or by another provisioner, are other topics."""
    kafkas = [{"cluster": "elsewhere"}, ADMIN]
    assert all(
        lint_ownership(shop, [other(shop, metadata={"namespace": "team-b"}, kafka=kafka)]) == () for kafka in kafkas
    )


@pytest.mark.parametrize(("server", "shared"), [("kafka:9092", True), ("kafka2:9092", False)])
def test_admin_kafkas_are_the_same_when_they_share_a_server(shop: OrderFlow, server: str, shared: bool) -> None:
    """Two flows that name one common bootstrap server are on one Kafka."""
    ours = other(shop, kafka=ADMIN)
    theirs = other(ours, metadata={"namespace": "team-b"}, kafka=ADMIN | {"bootstrapServers": [server]})
    assert bool(lint_ownership(ours, [theirs])) is shared


def test_objects_whose_joined_names_meet_are_a_conflict(shop: OrderFlow) -> None:
    """Flow a-b with service c and flow a with service b-c would write the same Deployment."""
    one = _single(shop, "a-b", "c")
    two = _single(shop, "a", "b-c")
    assert [str(finding) for finding in lint_ownership(one, [two])] == [
        "spec.services[0].name: objects named a-b-c belong to OrderFlow a"
    ]


def _single(shop: OrderFlow, flow: str, service: str) -> OrderFlow:
    entry = {"name": service, "image": "x", "publishes": ["ORDER_CREATED"]}
    return other(shop, metadata={"name": flow}, services=[entry])
