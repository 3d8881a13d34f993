"""What the resource's parts refuse, and with which words."""

from typing import Any

import pytest

from orderflow_model.findings import InvalidResourceError
from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import parse_flow

ADMIN = {"provisioner": "Admin", "bootstrapServers": ["kafka:9092"]}
SECRET = {"name": "kafka", "key": "password"}
PAYMENT_ENV = "spec.services[2].env"

REFUSED = [
    ("apiVersion", "orderflow.dev/v2", "apiVersion", "orderflow.dev/v1alpha1"),
    ("kind", "Order", "kind", "OrderFlow"),
    ("metadata.name", "x" * 31, "metadata.name", "too long: at most 30, not 31"),
    ("metadata.name", "9shop", "metadata.name", "'9shop' does not match"),
    ("metadata.name", "pg-shop", "metadata.name", "reserved by Postgres"),
    ("spec.kafka.cluster", None, "spec.kafka", "provisioner Strimzi needs cluster"),
    ("spec.kafka.bootstrapServers", ["kafka:9092"], "spec.kafka", "belong to provisioner Admin"),
    ("spec.kafka", {"provisioner": "Admin"}, "spec.kafka", "provisioner Admin needs bootstrapServers"),
    ("spec.kafka", ADMIN | {"cluster": "events"}, "spec.kafka", "cluster belongs to provisioner Strimzi"),
    ("spec.kafka", ADMIN | {"bootstrapServers": ["kafka"]}, "spec.kafka.bootstrapServers[0]", "'kafka' does"),
    ("spec.kafka", ADMIN | {"authentication": {"type": "ScramSha512"}}, "spec.kafka.authentication", "SCRAM"),
    ("spec.kafka", ADMIN | {"authentication": {"username": "me"}}, "spec.kafka.authentication", "SCRAM needs"),
    ("spec.database.secretKeyRef.name", "../shop", "spec.database.secretKeyRef.name", "does not match"),
    (
        "spec.database.secretKeyRef.namespace",
        "other",
        "spec.database.secretKeyRef.namespace",
        "unknown field",
    ),
    ("spec.defaults.topic.partitions", 1_000_000, "spec.defaults.topic.partitions", "1000"),
    ("spec.defaults.topic.partitions", True, "spec.defaults.topic.partitions", "integer"),
    ("spec.defaults.topic.partitions", "6", "spec.defaults.topic.partitions", "integer"),
    ("spec.defaults.topic.partitions", 6.0, "spec.defaults.topic.partitions", "integer"),
    ("spec.defaults.topic.retention", "1 week", "spec.defaults.topic.retention", "'1 week' does not match"),
    ("spec.defaults.topic.retention", "1s", "spec.defaults.topic.retention", "between 1m and 87600h"),
    ("spec.defaults.topic.config", {"retention.ms": "1"}, "spec.defaults.topic.config", "set by retention"),
    ("spec.defaults.topic.config", {"A b": "1"}, 'spec.defaults.topic.config["A b"]', "does not match"),
    ("spec.defaults.delivery.delay", "6m", "spec.defaults.delivery", "delay must not exceed maxDelay"),
    ("spec.defaults.delivery.backoff", "exponential", "spec.defaults.delivery.backoff", "'Exponential'"),
    ("spec.events", [], "spec.events", "too short: at least 1, not 0"),
    ("spec.events[1].name", "ORDER_CREATED", "spec.events", "name ORDER_CREATED stands twice, at [0] and [1]"),
    ("spec.events[1].name", "OrderCreated", "spec.events[1].name", "does not match"),
    ("spec.events[1].name", "A" * 101, "spec.events[1].name", "at most 100"),
    ("spec.events[0].topic.name", "x" * 250, "spec.events[0].topic.name", "at most 249"),
    ("spec.events[0].topic.name", "__offsets", "spec.events[0].topic.name", "for itself"),
    ("spec.events[0].topic.name", "..", "spec.events[0].topic.name", "for itself"),
    ("spec.events[0].topic.name", "a/b", "spec.events[0].topic.name", "does not match"),
    ("spec.events[0].schema", {"a": "x" * 70_000}, "spec.events[0].schema", "more than 65536 bytes"),
    ("spec.events[0].schema", {"a": float("nan")}, "spec.events[0].schema", ""),
    ("spec.events[0].schema", {"a": 1 << 20_000}, "spec.events[0].schema", ""),
    ("spec.events[0].personalData", ["email"], "spec.events[0].personalData[0]", "does not match"),
    ("spec.events[0].personalData", ["/a", "/a"], "spec.events[0].personalData", "entry /a stands twice"),
    ("spec.services[0].name", "x" * 23, "spec.services[0].name", "at most 22"),
    ("spec.services[0].name", "public", "spec.services[0].name", "reserved by Postgres"),
    ("spec.services[0].name", "pg-x", "spec.services[0].name", "reserved by Postgres"),
    ("spec.services[0].name", "payment", "spec.services", "name payment stands twice"),
    ("spec.services[0].image", "a b", "spec.services[0].image", "does not match"),
    ("spec.services[0].command", ["sh", "$(HOME)"], "spec.services[0].command[1]", "must not contain '$('"),
    ("spec.services[0].command", ["a\x00b"], "spec.services[0].command[0]", "does not match"),
    ("spec.services[0].scale.max", 1001, "spec.services[0].scale.max", "1000"),
    ("spec.services[0].scale.min", 7, "spec.services[0].scale", "min must not exceed max"),
    ("spec.services[0].httpPort", 80, "spec.services[0].httpPort", "1024"),
    ("spec.services[0].httpDrain", "6m", "spec.services[0].httpDrain", "between 1ms and 5m"),
    ("spec.services[0].httpKeepAlive", "500ms", "spec.services[0].httpKeepAlive", "between 1s and 1h"),
    ("spec.services[0].delivery", {"delay": "2s", "maxDelay": "1s"}, "spec.services[0].delivery", "exceed"),
    (
        "spec.services[0].resources",
        {"requests": {"memory": "1Gi"}},
        "spec.services[0].resources",
        "requests must not exceed limits",
    ),
    (
        "spec.services[0].resources",
        {"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}},
        "spec.services[0].resources",
        "requests must not exceed limits",
    ),
    ("spec.services[4].subscribes", [], "spec.services[4]", "subscribes or publishes at least one"),
    ("spec.services[4].subcribes", [], "spec.services[4].subcribes", "did you mean subscribes?"),
    (f"{PAYMENT_ENV}[0].value", "a\nb", f"{PAYMENT_ENV}[0].value", r"'a\nb' does not match"),
    (f"{PAYMENT_ENV}[0].value", "$(HOME)", f"{PAYMENT_ENV}[0].value", "must not contain '$('"),
    (f"{PAYMENT_ENV}[0].value", None, f"{PAYMENT_ENV}[0]", "exactly one of value and valueFrom"),
    (f"{PAYMENT_ENV}[0].name", "ORDERFLOW_CONFIG", f"{PAYMENT_ENV}[0].name", "set by the platform"),
    (f"{PAYMENT_ENV}[0].name", "A-B", f"{PAYMENT_ENV}[0].name", "does not match"),
    (PAYMENT_ENV, [{"name": "A", "valueFrom": {}}], f"{PAYMENT_ENV}[0].valueFrom", "exactly one of"),
    ("spec.saga.ends", ["ORDER_CREATED"], "spec.saga", "begins a run cannot end it"),
    ("spec.saga.deadline", "721h", "spec.saga.deadline", "between 1s and 720h"),
    ("spec.saga.compensations[0].by", "STOCK_RESERVED", "spec.saga.compensations[0]", "undo itself"),
    ("spec.objectives[0].target", "100", "spec.objectives[0].target", "between 0 and 100"),
    ("spec.objectives[0].target", 99.5, "spec.objectives[0].target", "string"),
    ("spec.tracing.sampling", "101", "spec.tracing.sampling", "does not match"),
    ("spec.tracing.endpoint", "http://collector", "spec.tracing.endpoint", "does not match"),
    ("spec.tracing.endpoint", "http://me:secret@collector:4317", "spec.tracing.endpoint", "does not match"),
    ("spec.tracing.endpoint", "http://collector:70000", "spec.tracing.endpoint", "ports end at 65535"),
    ("spec.deletionPolicy", "Keep", "spec.deletionPolicy", "'Retain' or 'Delete'"),
    ("spec.database", None, "spec.database", "is required"),
]


@pytest.mark.parametrize(("path", "value", "place", "words"), REFUSED)
def test_a_bad_value_is_refused_at_its_place(edited: Any, path: str, value: Any, place: str, words: str) -> None:
    """Each bad value is refused with a finding at the place a person would look for it."""
    with pytest.raises(InvalidResourceError) as refused:
        parse_flow(edited({path: value}))
    found = {finding.path: finding.message for finding in refused.value.findings}
    assert place in found
    assert words in found[place]


ACCEPTED = [
    ("spec.kafka", ADMIN),
    ("spec.kafka", ADMIN | {"bootstrapServers": ["[::1]:9092", "a.b-c:1"]}),
    (
        "spec.kafka",
        ADMIN | {"authentication": {"type": "ScramSha256", "username": "me", "secretKeyRef": SECRET}},
    ),
    ("metadata.name", "x" * 30),
    ("metadata.managedFields", [{"manager": "kubectl"}]),
    ("spec.services[0].name", "x" * 22),
    ("spec.events[0].schema", {"type": "object", "properties": {"total": {"multipleOf": 0.01}}}),
    ("spec.events[0].schemaFrom", {"configMapKeyRef": {"name": "schemas", "key": "order.json"}}),
    ("spec.events[0].topic", {"config": {"min.insync.replicas": "2"}, "name": "x" * 249}),
    ("spec.services[0].env", [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]),
    ("spec.services[0].resources", {"requests": {"cpu": "0.5"}, "limits": {"cpu": "500m", "memory": "1Gi"}}),
    ("spec.saga", None),
    ("status", {"conditions": []}),
]


@pytest.mark.parametrize(("path", "value"), ACCEPTED)
def test_a_legal_value_is_accepted_and_kept(edited: Any, path: str, value: Any) -> None:
    """Each legal value gives a flow, which read from its own JSON is the same flow."""
    flow = parse_flow(edited({path: value}))
    assert OrderFlow.model_validate_json(flow.model_dump_json(exclude_none=True)) == flow


def test_a_schema_stands_inline_or_elsewhere_but_not_both(edited: Any) -> None:
    """An event with schema and schemaFrom is refused, since nobody could say which counts."""
    source = {"configMapKeyRef": {"name": "schemas", "key": "order.json"}}
    with pytest.raises(InvalidResourceError, match="exclude each other"):
        parse_flow(edited({"spec.events[0].schema": {}, "spec.events[0].schemaFrom": source}))


def test_a_part_cannot_be_changed_once_it_is_made(shop: OrderFlow) -> None:
    """Assigning to a field of a flow raises, so that what was checked stays what is used."""
    with pytest.raises(ValueError, match="frozen"):
        shop.spec.saga = None  # type: ignore[misc]  # the very thing that must not work
