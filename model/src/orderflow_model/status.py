"""The status of an OrderFlow as the operator writes it; `status.py` fills it, `crd.py` describes it."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from orderflow_model.spec.base import UniqueBy
from orderflow_model.topic_changes import Ours

DEGRADED = "Degraded"
MESSAGE_MAX = 4096
COUNT_MAX = 1_000_000
PROMISES_MAX = 262_144

Reason = Annotated[str, Field(pattern=r"^([A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?)?$", max_length=256)]
Message = Annotated[str, Field(max_length=MESSAGE_MAX)]
Name = Annotated[str, Field(max_length=253)]
Count = Annotated[int, Field(ge=0, le=COUNT_MAX)]
Fraction = Annotated[str, Field(max_length=15)]
Time = Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})]


class Truth(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )


class Condition(_Part):
    """One aspect of the flow: whether it holds, why, and since when."""

    type: Annotated[str, Field(max_length=64)] = Field(description="Aspect of the flow that this speaks of.")
    status: Truth = Field(description="Whether it holds.")
    reason: Reason = Field(description="The reason in one CamelCase word, for programs.")
    message: Message = Field("", description="The reason in a sentence, and what to do next.")
    observed_generation: Count = Field(description="Generation of the spec this was judged by.")
    last_transition_time: Time = Field(description="When the status last changed.")


class EventStatus(_Part):
    """One event and the topic that carries it."""

    name: Name = Field(description="Name of the event.")
    topic: Name = Field(description="Name of its topic.")
    partitions: Count = Field(description="Partitions the topic has.")
    ready: Truth = Field(description="Whether the topic can be used.")
    reason: Reason = Field("", description="Why it cannot, in one word.")
    message: Message = Field("", description="Why it cannot, and what to do next.")


class ServiceStatus(_Part):
    """One service and its pods."""

    name: Name = Field(description="Name of the service.")
    image: Annotated[str, Field(max_length=512)] = Field(description="Image that is rolled out.")
    ready: Count = Field(description="Pods of the new version that are ready.")
    desired: Count = Field(description="Pods that should be.")
    reason: Reason = Field("", description="What is wrong with the worst pod, in one word.")
    message: Message = Field("", description="What is wrong with the worst pod, with its last line.")
    rollout: Annotated[str, Field(max_length=16)] = Field("", description="Hash of the version being rolled out.")
    databases: Annotated[tuple[Annotated[str, Field(max_length=16)], ...], Field(max_length=2)] = Field(
        (), description="Hash of the database in which the service's data was before, if any, and of that where it is."
    )
    since: Time | None = Field(None, description="Since when this rollout waits for pods; absent once they are ready.")


class TopicStatus(_Part):
    """What of a topic is ours, where the operator itself sets it; it has nowhere else to remember it."""

    name: Name = Field(description="Name of the topic.")
    made: Truth = Field(description="Whether the operator made it; else it was there before.")
    settings: Annotated[tuple[Name, ...], Field(max_length=64)] = Field(
        (), description="Settings the operator has set; they go back to the default when the flow no longer has them."
    )


class KafkaStatus(_Part):
    """The Kafka at which the flow's topics and users are marked, where the operator itself makes them."""

    id: Name = Field(description="What the Kafka calls itself; ends in .unproven where it asks nobody who they are.")
    address: Annotated[str, Field(max_length=8192)] = Field(description="Protocol and brokers by which it was found.")


class Summary(_Part):
    """What `kubectl get` shows at a glance."""

    services: Fraction = Field(description="Services that are ready, of all.")
    topics: Fraction = Field(description="Topics that are ready, of all.")


class FlowStatus(_Part):
    """What is, as the operator last saw it."""

    observed_generation: Count = Field(0, description="Generation of the spec that the operator has acted on.")
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16), UniqueBy("type")] = Field(
        (), description="Aspects of the flow: Valid, TopicsReady, IdentitiesReady, ServicesReady, Ready, Degraded."
    )
    summary: Summary | None = Field(None, description="What kubectl get shows at a glance.")
    events: Annotated[tuple[EventStatus, ...], Field(max_length=200), UniqueBy("name")] = Field(
        (), description="Each event and its topic."
    )
    services: Annotated[tuple[ServiceStatus, ...], Field(max_length=72), UniqueBy("name")] = Field(
        (), description="Each service and its pods."
    )
    topics: Annotated[tuple[TopicStatus, ...], Field(max_length=272), UniqueBy("name")] = Field(
        (), description="With provisioner Admin, what of each topic is the operator's own."
    )

    kafka: KafkaStatus | None = Field(
        None, description="With provisioner Admin, the Kafka at which the flow's topics and users are marked."
    )
    console: Annotated[str, Field(max_length=512)] | None = Field(
        None, description="Where the console is found: its url, or else its Service within the cluster."
    )
    promises: Annotated[str, Field(max_length=PROMISES_MAX)] | None = Field(
        None,
        description="What the resource promised of its events when it was last accepted, compressed; edits are held "
        "against it.",
    )

    @classmethod
    def of(cls, raw: object) -> "FlowStatus":
        """Return the status that stands in a resource; an empty one when nobody, or somebody else, wrote it."""
        try:
            return cls.model_validate(raw or {})
        except ValidationError:
            return cls()

    def ours(self) -> dict[str, Ours]:
        """Return what of each topic is ours, as far as it is remembered."""
        return {one.name: Ours(one.made is Truth.TRUE, frozenset(one.settings)) for one in self.topics}

    def condition(self, kind: str) -> Condition | None:
        """Return the condition of that type, if there is one."""
        return next((condition for condition in self.conditions if condition.type == kind), None)
