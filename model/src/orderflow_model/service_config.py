"""What one service process is told about itself: a JSON file named by ORDERFLOW_CONFIG.

`service_part.py` makes it of the resource, for the operator (into an annotation of the service's pods) and for
`orderflow run`; the runtime reads it, and stays without the model of the whole resource.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from orderflow_model.spec.delivery import Backoff, OnExhausted
from orderflow_model.spec.push import PushProtocol
from orderflow_model.spec.saga import TraceConsumer, TraceProtocol


class _Config(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


class PrivacyRole(StrEnum):
    """What a service sees of people, in a flow that seals what is personal."""

    READER = "Reader"
    MASKED = "Masked"


class Channel(_Config):
    """An event and the topic that carries it."""

    event: str
    topic: str
    max_message_bytes: int | None = Field(None, exclude_if=lambda limit: limit is None)
    """The largest batch that the topic takes, where the resource says so."""
    within_ms: int | None = Field(None, exclude_if=lambda within: within is None)
    """How long the event may wait to be handled with others, where the resource says so."""


class DeliveryConfig(_Config):
    """How the service tries an event; times in milliseconds."""

    retries: int = 5
    backoff: Backoff = Backoff.EXPONENTIAL
    delay_ms: int = 1_000
    max_delay_ms: int = 300_000
    timeout_ms: int = 30_000
    on_exhausted: OnExhausted = OnExhausted.DEAD_LETTER


class SagaConfig(_Config):
    """The events that begin and end a run, and its deadline in milliseconds."""

    begins: str
    ends: tuple[str, ...]
    deadline_ms: int


class TracingConfig(_Config):
    """Which runs are traced (`share`, from 0 to 1), how, and where spans go; None: nowhere."""

    consumer: TraceConsumer = TraceConsumer.PARENT
    share: float = 1.0
    endpoint: str | None = None
    protocol: TraceProtocol = TraceProtocol.GRPC


class ObjectiveConfig(_Config):
    """A promise on the time from the beginning of a run to its end."""

    name: str
    within_ms: int


class LakeEvent(_Config):
    """An event as the lake has to know it: what of it is personal, for how many days it is kept where that differs."""

    name: str
    topic: str
    personal: tuple[str, ...] = ()
    stored_days: int | None = None
    lake_days: int | None = None


class LakeConfig(_Config):
    """What fills a lake is told: where it is (None: the environment says), of which events, by which contracts."""

    url: str | None
    events: tuple[LakeEvent, ...]
    contracts: str | None
    models: str | None
    schedule: str | None
    """When a run is due, as cron's five fields in UTC; None: a minute after the last."""
    stored_days: int | None
    """For how many days Postgres keeps an event that the lake has; None: for ever."""
    lake_days: int | None


class PushConfig(_Config):
    """How a dispatcher hands events on: by which protocol, to which path of the program, how many at a time."""

    protocol: PushProtocol
    path: str
    concurrency: int
    batch: int
    contracts: dict[str, dict[str, JsonValue]] = {}
    """JSON Schema of each event that the program may publish, where the resource has it inline."""


class ServiceConfig(_Config):
    """All that the runtime needs to know of its service; `model_validate_json` reads the file."""

    flow: str
    service: str
    group: str
    dead_letter_topic: str
    subscribes: tuple[Channel, ...]
    publishes: tuple[Channel, ...]
    delivery: DeliveryConfig
    inbox_days: int
    tracing: TracingConfig = TracingConfig()
    saga: SagaConfig | None = None
    """Only for a service that begins or ends runs; no other need restart when a deadline changes."""
    objectives: tuple[ObjectiveConfig, ...] = ()
    """Only for a service that ends runs: it measures them, and no other need restart when a promise changes."""
    privacy: PrivacyRole | None = Field(None, exclude_if=lambda role: role is None)
    """None where the flow seals nothing, and for the sink, which keeps events as they are."""
    lake: LakeConfig | None = Field(None, exclude_if=lambda lake: lake is None)
    """Only for the program that fills the lake."""
    push: PushConfig | None = Field(None, exclude_if=lambda push: push is None)
    """Only for the dispatcher of a service with push."""
    console: dict[str, JsonValue] | None = Field(None, exclude_if=lambda flow: flow is None)
    """Only for the console: the resource, which it shows."""
