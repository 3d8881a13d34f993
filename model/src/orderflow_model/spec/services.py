"""`spec.services`: the programs of the flow, what each hears and says, and how it runs."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from orderflow_model.environment import PREFIX
from orderflow_model.spec.base import Part, Rule, Unique, UniqueBy, exactly_one
from orderflow_model.spec.delivery import DeliveryOverride
from orderflow_model.spec.pod import Pod
from orderflow_model.spec.push import DISPATCHER, Push
from orderflow_model.spec.references import ConfigMapKeyRef, SecretKeyRef
from orderflow_model.spec.scalars import (
    Argument,
    Duration,
    EventName,
    Folder,
    PlainText,
    Quantity,
    ServiceName,
    between,
)

NO_MIGRATIONS = "None"
"""What a service without SQL migrations says of where they are, when its command does not tell."""


class FieldRef(Part):
    """A field of the pod itself."""

    field_path: Annotated[
        str,
        Field(
            pattern=r"^(metadata\.(name|namespace|uid|(labels|annotations)\['[^']{1,317}'\])|spec\.(nodeName|"
            r"serviceAccountName)|status\.(hostIP|hostIPs|podIP|podIPs))$",
            max_length=340,
        ),
    ] = Field(description="Path of the field, such as metadata.name.")


class EnvSource(Part):
    """Where the value of a variable stands: in a Secret, in a ConfigMap or in the pod itself."""

    secret_key_ref: SecretKeyRef | None = Field(None, description="The Secret's key that holds the value.")
    config_map_key_ref: ConfigMapKeyRef | None = Field(None, description="The ConfigMap's key that holds the value.")
    field_ref: FieldRef | None = Field(None, description="The pod's field that is the value.")

    rules = (exactly_one("secretKeyRef", "configMapKeyRef", "fieldRef"),)


EnvName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128),
    Rule(
        cel=f"!self.startsWith('{PREFIX}')",
        message=f"names that begin with {PREFIX} are set by the platform",
        holds=lambda name: not name.startswith(PREFIX),
    ),
]


class EnvVar(Part):
    """One environment variable of a service."""

    name: EnvName = Field(description="Name of the variable.")
    value: PlainText | None = Field(None, description="The value itself, on one line.")
    value_from: EnvSource | None = Field(None, description="Where the value stands, instead of here.")

    rules = (exactly_one("value", "valueFrom"),)


def _bound(low: int, high: int, description: str) -> Any:
    return Field(strict=True, ge=low, le=high, description=description)


class Scale(Part):
    """Between how many pods a service runs, and what lag calls for one more."""

    min: Annotated[int, _bound(1, 1000, "Fewest pods.")] = 1
    max: Annotated[int, _bound(1, 1000, "Most pods; more than partitions would stand idle.")] = 1
    lag: Annotated[int, _bound(1, 10_000_000, "Events waiting per pod above which a pod is added.")] = 500

    rules = (
        Rule(
            cel="(has(self.min) ? self.min : 1) <= (has(self.max) ? self.max : 1)",
            message="min must not exceed max (1 when left out)",
            holds=lambda scale: scale.min <= scale.max,
        ),
    )


class Requests(Part):
    """What a pod is sure to get."""

    cpu: Quantity = Field(Quantity("100m"), description="Processors, such as 250m.")
    memory: Quantity = Field(Quantity("128Mi"), description="Memory, such as 128Mi.")


class Limits(Part):
    """What a pod gets at most."""

    cpu: Quantity | None = Field(None, description="Processors; unlimited when left out.")
    memory: Quantity = Field(Quantity("512Mi"), description="Memory, such as 512Mi.")


def _requests_within_limits(resources: Any) -> bool:
    requests, limits = resources.requests, resources.limits
    cpu_fits = limits.cpu is None or requests.cpu.amount <= limits.cpu.amount
    return bool(cpu_fits and requests.memory.amount <= limits.memory.amount)


class Resources(Part):
    """Processors and memory of one pod."""

    requests: Requests = Field(default_factory=Requests, description="What a pod is sure to get.")
    limits: Limits = Field(default_factory=Limits, description="What a pod gets at most.")

    rules = (
        Rule(
            cel="(!has(self.limits) || !has(self.limits.cpu) ||"
            " quantity(has(self.requests) && has(self.requests.cpu) ? self.requests.cpu : '100m')"
            ".compareTo(quantity(self.limits.cpu)) <= 0) &&"
            " quantity(has(self.requests) && has(self.requests.memory) ? self.requests.memory : '128Mi')"
            ".compareTo(quantity(has(self.limits) && has(self.limits.memory) ? self.limits.memory : '512Mi')) <= 0",
            message="requests must not exceed limits",
            holds=_requests_within_limits,
        ),
    )


Image = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._:/@-]*$", max_length=512)]
EventNames = Annotated[tuple[EventName, ...], Field(max_length=200), Unique()]


class Pace(Part):
    """How long an event that nobody waits for may wait, so that several are handled together."""

    event: EventName = Field(description="The event, one that the service subscribes.")
    within: Annotated[Duration, between("1ms", "1m")] = Field(
        description="How long it waits at the most; it is handled sooner with an event that is waited for."
    )


class Service(Part):
    """One program of the flow, its place in the picture and how it runs."""

    name: ServiceName = Field(
        description="Name of the service; its consumer group, schema, role and objects are named after it."
    )
    image: Image = Field(description="Container image.")
    push: Push | None = Field(
        None,
        description="Hands the service's events to it by HTTP: its image is a program of any language. Without, it "
        "runs on OrderFlow's runtime for Python.",
    )
    command: Annotated[tuple[Argument, ...], Field(max_length=64)] = Field(
        (), description="Command and its arguments; the image's own entry point when left out."
    )
    migrations: Folder | None = Field(
        None,
        description="Folder of the service's SQL migrations, seen from its working folder; None where it has none. "
        "When left out: the folder migrations beside the module or file that the command's Python runs.",
    )
    env: Annotated[tuple[EnvVar, ...], Field(max_length=100), UniqueBy("name")] = Field(
        (), description="Environment variables besides those the platform sets."
    )
    subscribes: EventNames = Field((), description="Events the service handles; it may read only these.")
    publishes: EventNames = Field((), description="Events the service says; it may write only these.")
    pace: Annotated[tuple[Pace, ...], Field(max_length=200), UniqueBy("event")] = Field(
        (), description="Events that nobody waits for: each may wait a while to be handled with others."
    )
    scale: Scale = Field(default_factory=Scale, description="How many pods, and what adds one.")
    delivery: DeliveryOverride = Field(
        default_factory=DeliveryOverride, description="Where this service differs from the delivery defaults."
    )
    resources: Resources = Field(default_factory=Resources, description="Processors and memory of one pod.")
    pod: Pod = Field(default_factory=Pod, description="What is asked of the pods besides; nothing on a laptop.")
    http_port: Annotated[int, _bound(1024, 65_535, "Port of health and the service's own HTTP interface.")] = 8080
    http_keep_alive: Annotated[Duration, between("1s", "1h")] = Field(
        Duration("75s"),
        description="How long an idle HTTP connection is kept: longer than the load balancer before it keeps one.",
    )
    http_drain: Annotated[Duration, between("1ms", "5m")] = Field(
        Duration("5s"),
        description="How long a pod that is told to end goes on serving, not ready any more, before it begins to end.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="(has(self.subscribes) && size(self.subscribes) > 0) ||"
            " (has(self.publishes) && size(self.publishes) > 0)",
            message="a service subscribes or publishes at least one event",
            holds=lambda service: service.uses_kafka,
        ),
        Rule(
            cel="!has(self.push) || (has(self.push.port) ? self.push.port : 3000) !="
            " (has(self.httpPort) ? self.httpPort : 8080)",
            message="push.port and httpPort are one: the first is the program's, the other its dispatcher's beside it",
            holds=lambda service: service.push is None or service.push.port != service.http_port,
        ),
        Rule(
            cel="!has(self.push) || !has(self.migrations)",
            message="push and migrations exclude each other: such a program looks after its own database",
            holds=lambda service: service.push is None or service.migrations is None,
        ),
    )

    @property
    def uses_kafka(self) -> bool:
        """Whether it hears or says anything; only what the resource implies may do neither."""
        return bool(self.subscribes or self.publishes)

    @property
    def dispatcher(self) -> "Service":
        """The service as what is handed its events by it: a dispatcher of ours for one with push, else itself."""
        if self.push is None:
            return self
        ours = {
            "image": self.push.image,
            "command": ("python", "-m", DISPATCHER),
            "migrations": NO_MIGRATIONS,
            "env": (),
            "resources": Resources(),
        }
        return self.model_copy(update=ours)
