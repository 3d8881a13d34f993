"""`spec.events` and the topic defaults: what may happen in the flow, and the topic that carries it."""

import json
from typing import Annotated, Any

from pydantic import AfterValidator, Field, JsonValue, WithJsonSchema

from orderflow_model.spec.base import Part, Rule, Transition, Unique, refusal
from orderflow_model.spec.references import ConfigMapSource
from orderflow_model.spec.scalars import (
    Duration,
    EventName,
    JsonPointer,
    Partitions,
    PlainText,
    Replicas,
    Retention,
    TopicName,
)

SCHEMA_BYTES = 65_536
_OWNED_SETTINGS = ("cleanup.policy", "retention.ms")

SettingName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9.]*$", max_length=100)]
TopicConfig = Annotated[
    dict[SettingName, Annotated[PlainText, Field(max_length=256)]],
    Field(max_length=50, description="Further settings of the topic, as Kafka names them."),
    Rule(
        cel="self.all(k, !(k in ['cleanup.policy', 'retention.ms']))",
        message="retention.ms is set by retention; cleanup.policy stays delete: a compacted topic loses data",
        holds=lambda config: not any(name in config for name in _OWNED_SETTINGS),
    ),
]


class TopicDefaults(Part):
    """What a topic is where an event says nothing of its own."""

    partitions: Partitions = 6
    replicas: Replicas = 3
    retention: Retention = Duration("168h")
    config: TopicConfig = Field(default_factory=dict)


class EventTopic(Part):
    """The topic of one event; what it leaves out comes from the defaults."""

    name: TopicName | None = Field(
        None, description="Name of the topic; flow.event-name when left out. It cannot change later."
    )
    partitions: Partitions | None = None
    replicas: Replicas | None = None
    retention: Retention | None = None
    config: TopicConfig | None = None


def _small_json(schema: dict[str, Any]) -> dict[str, Any]:
    try:
        size = len(json.dumps(schema, allow_nan=False))
    except ValueError as error:
        raise refusal(f"is not JSON: {error}") from None
    if size > SCHEMA_BYTES:
        raise refusal(f"has more than {SCHEMA_BYTES} bytes inline; put it into a ConfigMap (schemaFrom)")
    return schema


# Kubernetes stores what it cannot describe: a schema of schemas would not be structural.
PayloadSchema = Annotated[
    dict[str, JsonValue],
    AfterValidator(_small_json),
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]

_TOPIC_NAME = "(has({0}.topic) && has({0}.topic.name) ? {0}.topic.name : '')"


def _topic_name(event: Any) -> str:
    return event.topic.name or ""


def _keeps_partitions(old: Any, new: Any) -> bool:
    given = (old.topic.partitions, new.topic.partitions)
    return None in given or given[1] >= given[0]


class Event(Part):
    """Something that happens in the flow, published to a topic of its own."""

    name: EventName = Field(description="Name of the event, such as ORDER_CREATED.")
    topic: EventTopic = Field(default_factory=EventTopic, description="The topic that carries the event.")
    payload_schema: PayloadSchema | None = Field(
        None, alias="schema", description="JSON Schema of the event's data, written inline."
    )
    schema_from: ConfigMapSource | None = Field(
        None, description="Where the JSON Schema of the event's data stands, instead of inline."
    )
    personal_data: Annotated[tuple[JsonPointer, ...], Field(max_length=100), Unique()] = Field(
        (), description="JSON pointers to personal fields; they are masked in logs, console and lake."
    )

    rules = (
        Rule(
            cel="!(has(self.schema) && has(self.schemaFrom))",
            message="schema and schemaFrom exclude each other",
            holds=lambda event: event.payload_schema is None or event.schema_from is None,
        ),
    )
    transitions = (
        Transition(
            cel=f"{_TOPIC_NAME.format('self')} == {_TOPIC_NAME.format('oldSelf')}",
            message="topic.name cannot change: its events would stay behind; add a new event instead",
            allows=lambda old, new: _topic_name(old) == _topic_name(new),
        ),
        Transition(
            cel="!has(self.topic) || !has(self.topic.partitions) || !has(oldSelf.topic) ||"
            " !has(oldSelf.topic.partitions) || self.topic.partitions >= oldSelf.topic.partitions",
            message="topic.partitions cannot shrink: Kafka takes no partition away",
            allows=_keeps_partitions,
        ),
    )
