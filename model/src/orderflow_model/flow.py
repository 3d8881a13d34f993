"""The OrderFlow resource as a whole.

`load` makes it from a file for the command line, the operator from what the API server sends.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue

from orderflow_model.spec.analytics import ANALYTICS, Analytics, sink
from orderflow_model.spec.base import Part, Transition, UniqueBy
from orderflow_model.spec.console import CONSOLE_PLACE, Console, console_service
from orderflow_model.spec.delivery import Delivery
from orderflow_model.spec.events import Event, TopicDefaults
from orderflow_model.spec.kafka import Kafka
from orderflow_model.spec.lake import LAKE_PLACE, lake_service
from orderflow_model.spec.placement import Placement
from orderflow_model.spec.pod import Pod
from orderflow_model.spec.privacy import Privacy
from orderflow_model.spec.references import SecretSource
from orderflow_model.spec.saga import Objective, Saga, Tracing
from orderflow_model.spec.scalars import FlowName
from orderflow_model.spec.services import Service
from orderflow_model.spec.sources import Source, source_service

GROUP = "orderflow.dev"
VERSION = "v1alpha1"
KIND = "OrderFlow"
PLURAL = "orderflows"


class DeletionPolicy(StrEnum):
    """What becomes of events and data when the resource is deleted, or a service leaves it."""

    RETAIN = "Retain"
    DELETE = "Delete"


class Defaults(Part):
    """What holds where an event or a service says nothing of its own."""

    topic: TopicDefaults = Field(
        default_factory=TopicDefaults, description="What a topic is where its event does not say."
    )
    delivery: Delivery = Field(
        default_factory=Delivery, description="How events are delivered where a service does not say."
    )
    pod: Pod = Field(default_factory=Pod, description="What is asked of all pods besides; nothing on a laptop.")


class Spec(Part):
    """The picture: events, who publishes them, who subscribes, and how it all runs."""

    kafka: Kafka = Field(description="The Kafka that carries the flow's events.")
    database: SecretSource = Field(
        description="Where the admin URI of the flow's Postgres database stands; for the migration job."
    )
    defaults: Defaults = Field(
        default_factory=Defaults, description="What holds where an event or a service does not say."
    )
    events: Annotated[tuple[Event, ...], Field(min_length=1, max_length=200), UniqueBy("name")] = Field(
        description="What may happen in the flow."
    )
    services: Annotated[tuple[Service, ...], Field(min_length=1, max_length=50), UniqueBy("name")] = Field(
        description="The programs of the flow, what each hears and says."
    )
    sources: Annotated[tuple[Source, ...], Field(max_length=20), UniqueBy("name")] = Field(
        (), description="Where messages come from that are no events yet, and the service that takes them in."
    )
    placement: Placement | None = Field(
        None,
        description="Which services share a process. When left out: none do in a cluster, all do on a laptop.",
    )
    saga: Saga | None = Field(None, description="How one run of the flow begins, ends and is taken back.")
    objectives: Annotated[tuple[Objective, ...], Field(max_length=20), UniqueBy("name")] = Field(
        (), description="Promises on how many runs end in time."
    )
    tracing: Tracing = Field(default_factory=Tracing, description="How runs of the flow are traced.")
    analytics: Analytics | None = Field(None, description="Keeps the flow's events for questions; not, when left out.")
    console: Console | None = Field(
        None, description="What people see of the flow, in a browser; in a cluster none, when left out."
    )
    privacy: Privacy | None = Field(
        None, description="Seals what is personal, so that people can be erased; not, when left out."
    )
    deletion_policy: DeletionPolicy = Field(
        DeletionPolicy.RETAIN,
        description="What becomes of events and data when the resource is deleted; for those of one service, when it "
        "leaves the flow. Retain: topics, dead letters, consumer groups, database schemas and roles stay. Delete: they "
        "go, as far as they are marked as the flow's; what has to be left is told by an Event. Users at Kafka go "
        "always.",
    )

    transitions = (
        Transition(
            cel="!has(oldSelf.privacy) || (has(self.privacy) && self.privacy.secret == oldSelf.privacy.secret)",
            message="privacy stays, with the same secret: what it has sealed would not open any more",
            allows=lambda old, new: (
                old.privacy is None or (new.privacy is not None and new.privacy.secret == old.privacy.secret)
            ),
        ),
    )

    @property
    def published(self) -> frozenset[str]:
        """Names of all events that some service publishes."""
        return frozenset(event for service in self.services for event in service.publishes)

    @property
    def offered(self) -> tuple[str, ...]:
        """Names of the events that are declared and published, in the order of the resource."""
        published = self.published
        return tuple(event.name for event in self.events if event.name in published)

    def event(self, name: str) -> Event:
        """Return the event of that name, or raise `KeyError`."""
        return {event.name: event for event in self.events}[name]


Bounded = Annotated[str, Field(max_length=262_144)]


class Metadata(Part):
    """What Kubernetes knows of the resource, as far as anyone here reads it."""

    model_config = ConfigDict(extra="ignore")

    name: FlowName = Field(description="Name of the flow; its topics, groups and roles are named after it.")
    namespace: Annotated[str, Field(max_length=63)] | None = Field(None, description="Namespace.")
    uid: Annotated[str, Field(max_length=64)] | None = Field(None, description="Identity, set by Kubernetes.")
    generation: int | None = Field(None, description="Counts the edits of the spec, set by Kubernetes.")
    resource_version: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="Version of the object, set by Kubernetes."
    )
    deletion_timestamp: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="When deletion was asked for, set by Kubernetes."
    )
    finalizers: Annotated[tuple[Bounded, ...], Field(max_length=100)] = Field(
        (), description="What must be done before the object goes."
    )
    labels: Annotated[dict[Bounded, Bounded], Field(max_length=1000)] = Field(
        default_factory=dict, description="Labels."
    )
    annotations: Annotated[dict[Bounded, Bounded], Field(max_length=1000)] = Field(
        default_factory=dict, description="Annotations."
    )


class OrderFlow(Part):
    """An event-driven system as one picture."""

    api_version: Literal["orderflow.dev/v1alpha1"] = Field(description="Group and version of the resource.")
    kind: Literal["OrderFlow"] = Field(description="Kind of the resource.")
    metadata: Metadata = Field(description="Name, namespace, labels and annotations.")
    spec: Spec = Field(description="What is wanted.")
    status: dict[str, JsonValue] | None = Field(None, description="What is; written by the operator alone.")

    @property
    def services(self) -> tuple[Service, ...]:
        """The services that run on our runtime: those of the picture, or their dispatchers, then what is implied."""
        return tuple(self.services_by_place.values())

    @property
    def services_by_place(self) -> dict[str, Service]:
        """The same by where the resource asks for each."""
        found = {f"spec.services[{index}]": one.dispatcher for index, one in enumerate(self.spec.services)}
        if self.spec.analytics is not None:
            found[ANALYTICS] = sink(self.spec.analytics, (event.name for event in self.spec.events))
            if self.spec.analytics.lake is not None:
                found[LAKE_PLACE] = lake_service(self.spec.analytics.lake)
        if self.spec.console is not None:
            found[CONSOLE_PLACE] = console_service(self.metadata.name, self.spec.console)
        for index, source in enumerate(self.spec.sources):
            found[f"spec.sources[{index}]"] = source_service(self.metadata.name, source)
        return found

    @property
    def pushed(self) -> tuple[Service, ...]:
        """The services that are handed their events, as the resource has them: programs beside their dispatchers."""
        return tuple(service for service in self.spec.services if service.push is not None)

    def pictured(self) -> "OrderFlow":
        """Return the flow without programs that only a cluster runs beside its picture: the lake's, and the console."""
        analytics = self.spec.analytics
        kept = analytics.model_copy(update={"lake": None}) if analytics else None
        return self.model_copy(
            update={"spec": self.spec.model_copy(update={"analytics": kept, "console": None})},
        )

    @property
    def entry_service(self) -> Service | None:
        """The service that takes orders: it publishes the event with which a run of the saga begins."""
        begins = self.spec.saga.begins if self.spec.saga else None
        return next((service for service in self.services if begins in service.publishes), None)

    def service(self, name: str) -> Service:
        """Return the service of that name, or raise `KeyError`."""
        return {service.name: service for service in self.services}[name]

    def pod(self, service: Service) -> Pod:
        """Return what is asked of a service's pods besides: by itself, else by the defaults."""
        return service.pod.over(self.spec.defaults.pod)
