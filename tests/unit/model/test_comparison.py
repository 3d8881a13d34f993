"""A flow against its former self."""

from typing import Any

import pytest

from orderflow_model.flow import OrderFlow
from orderflow_model.lint.transitions import lint_change
from orderflow_model.loading.load import parse_flow

ADMIN = {"provisioner": "Admin", "bootstrapServers": ["kafka:9092"]}


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
