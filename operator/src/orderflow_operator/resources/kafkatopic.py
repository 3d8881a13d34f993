"""Strimzi's KafkaTopic. With deletionPolicy Retain it has no owner, so that it outlives the flow."""

import re
from collections.abc import Iterator

from orderflow_model.flow import DeletionPolicy, OrderFlow
from orderflow_model.topics import Topic, dead_letter_topic, event_topic
from orderflow_operator.kubernetes.kinds import KAFKA_TOPIC
from orderflow_operator.kubernetes.labels import (
    EVENT_LABEL,
    OWNER_ANNOTATION,
    Object,
    digest,
    flow_labels,
    label_value,
    new_object,
    service_labels,
)

CLUSTER_LABEL = "strimzi.io/cluster"

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_STEM = 200


def name(topic: str) -> str:
    """Return the object's name: the topic's own where Kubernetes takes it, else one that only this topic has."""
    if _NAME.fullmatch(topic):
        return topic
    stem = re.sub(r"[^a-z0-9]+", "-", topic.lower())[:_STEM].strip("-") or "topic"
    return f"{stem}-{digest(topic)}"


def build(flow: OrderFlow) -> Iterator[Object]:
    """Yield the topic of each event, then the dead letters of each service that subscribes."""
    for event in flow.spec.events:
        labels = flow_labels(flow, "topic") | {EVENT_LABEL: label_value(event.name)}
        yield _build(flow, event_topic(flow, event), labels)
    for service in flow.services:
        if service.subscribes:
            yield _build(flow, dead_letter_topic(flow, service), service_labels(flow, service.name, "dead-letters"))


def _build(flow: OrderFlow, topic: Topic, labels: dict[str, str]) -> Object:
    built = new_object(KAFKA_TOPIC, name(topic.name), flow, labels)
    metadata = built["metadata"]
    metadata["labels"][CLUSTER_LABEL] = flow.spec.kafka.cluster
    metadata["annotations"] = {OWNER_ANNOTATION: flow.metadata.uid or ""}
    if flow.spec.deletion_policy is DeletionPolicy.RETAIN:
        del metadata["ownerReferences"]
    built["spec"] = {
        "topicName": topic.name,
        "partitions": topic.partitions,
        "replicas": topic.replicas,
        "config": topic.config,
    }
    return built
