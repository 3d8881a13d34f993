"""`spec.saga`, `spec.objectives` and `spec.tracing`: how one run of the flow begins, ends and is judged."""

from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from orderflow_model.spec.base import Part, Rule, Unique, UniqueBy
from orderflow_model.spec.scalars import Duration, EventName, Percent, between


class Compensation(Part):
    """A step that can be taken back, and the event that says it was."""

    undo: EventName = Field(description="Event that says the step was done.")
    by: EventName = Field(description="Event that says the step was taken back.")

    rules = (
        Rule(
            cel="self.undo != self.by",
            message="an event cannot undo itself",
            holds=lambda compensation: compensation.undo != compensation.by,
        ),
    )


class Saga(Part):
    """How one run of the flow begins and ends, and how its steps are taken back."""

    begins: EventName = Field(description="Event that begins a run.")
    ends: Annotated[tuple[EventName, ...], Field(min_length=1, max_length=20), Unique()] = Field(
        description="Events each of which ends a run."
    )
    deadline: Annotated[Duration, between("1s", "720h")] = Field(
        description="Time after which a run that has not ended is ended by compensation."
    )
    compensations: Annotated[tuple[Compensation, ...], Field(max_length=100), UniqueBy("undo")] = Field(
        (), description="Steps that can be taken back, in the order they are done; undone in reverse."
    )

    rules = (
        Rule(
            cel="!(self.begins in self.ends)",
            message="the event that begins a run cannot end it",
            holds=lambda saga: saga.begins not in saga.ends,
        ),
    )


class Objective(Part):
    """A promise on how many runs end in time."""

    name: Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=40)] = Field(
        description="Name of the objective."
    )
    target: Annotated[
        Percent,
        Rule(
            cel="double(self) > 0.0 && double(self) < 100.0",
            message="must lie between 0 and 100, both excluded: a budget of no failure can only be broken",
            holds=lambda target: 0 < float(target) < 100,
        ),
    ] = Field(description="Percentage of runs that keep the promise, such as 99.5.")
    within: Annotated[Duration, between("1ms", "720h")] = Field(description="Time from a run's beginning to its end.")


class TraceConsumer(StrEnum):
    """How the span of processing relates to the span of sending."""

    PARENT = "Parent"
    LINK = "Link"


class TraceProtocol(StrEnum):
    """What OTLP travels over."""

    GRPC = "Grpc"
    HTTP = "Http"


_HOST = r"([-.a-zA-Z0-9]{1,253}|\[[0-9a-fA-F:.]{2,45}\])"
_URL = rf"^https?://{_HOST}:[1-9][0-9]{{0,4}}(/[-._~%/a-zA-Z0-9]*)?$"
Endpoint = Annotated[
    str,
    Field(pattern=_URL, max_length=512),
    Rule(
        cel="int(url(self).getPort()) <= 65535",
        message="ports end at 65535",
        holds=lambda endpoint: int(endpoint.split("/")[2].rpartition(":")[2]) <= 65_535,
    ),
]


class Tracing(Part):
    """How runs of the flow are traced."""

    consumer: TraceConsumer = Field(
        TraceConsumer.PARENT,
        description="Parent: one connected trace per run. Link: a trace per event, linked to its cause.",
    )
    sampling: Percent = Field("100", description="Percentage of runs that are traced, such as 10 or 0.5.")
    endpoint: Endpoint | None = Field(
        None,
        description="URL of the collector that takes spans, with its port, such as http://collector.tracing:4317; "
        "without it none are sent.",
    )
    protocol: TraceProtocol = Field(
        TraceProtocol.GRPC, description="Grpc or Http: what OTLP travels over; by Http, v1/traces is added to the URL."
    )

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port of the collector."""
        parts = urlsplit(self.endpoint or "")
        return (parts.hostname, parts.port) if parts.hostname and parts.port else None
