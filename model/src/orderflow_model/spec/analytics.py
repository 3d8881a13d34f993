"""`spec.analytics`: that the flow's events are kept for questions, and the service that this implies.

The sink is a service like any other: it has a place among the flow's services, so that whoever serves those serves it.
"""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from orderflow_model.spec.base import Part
from orderflow_model.spec.lake import Lake, Retention
from orderflow_model.spec.scalars import Duration, between
from orderflow_model.spec.services import Image, Resources, Scale, Service

ANALYTICS = "spec.analytics"
"""Where the resource asks for it."""
SINK = "raw"
"""The sink's name: its schema is where the events are kept, `raw.events`."""
_COMMAND = ("python", "-m", "orderflow_analytics.sink")
ModuleName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*([.][A-Za-z_][A-Za-z0-9_]*)*$", max_length=256)]


def _field(values: str) -> str:
    """Return the pattern of one field of a schedule: a list of numbers, ranges and steps."""
    part = rf"(\*(/[1-9][0-9]?)?|{values}(-{values}(/[1-9][0-9]?)?)?)"
    return f"{part}(,{part})*"


_FIELDS = ("[1-5]?[0-9]", "(1?[0-9]|2[0-3])", "([1-9]|[12][0-9]|3[01])", "([1-9]|1[0-2])", "[0-6]")
Schedule = Annotated[str, Field(pattern=f"^{' '.join(map(_field, _FIELDS))}$", max_length=100)]
"""Minute, hour, day of month, month and day of week (0 is Sunday), in numbers; of cron what all readers of it share."""


class Analytics(Part):
    """The events of a flow, kept in Postgres as they came, for the lake."""

    image: Image = Field(description="Container image that has orderflow_analytics.")
    contracts: ModuleName | None = Field(
        None,
        description="Python module whose Event classes are the flow's contracts; an event without one stays in the raw "
        "zone.",
    )
    models: Annotated[str, Field(min_length=1, max_length=1024)] | None = Field(
        None, description="Folder of the flow's dbt project, seen from the working folder; no marts when left out."
    )
    schedule: Schedule | None = Field(
        None,
        description="When lake and marts are brought up to what is stored, as cron's five fields in UTC, such as "
        "'*/15 * * * *'; when left out a cluster's lake every minute, one on a laptop when somebody asks for it.",
    )
    freshness: Annotated[Duration, between("1m", "8784h")] | None = Field(
        None, description="How old at most an event is when the lake has it, such as 1h; nobody is told when left out."
    )
    lake: Lake | None = Field(
        None,
        description="The lake that a cluster fills from what is stored; none, when left out.",
    )
    retention: Retention = Field(
        default_factory=Retention, description="For how long Postgres and the lake keep events as they came."
    )
    scale: Scale = Field(default_factory=Scale, description="How many pods the sink has, and what adds one.")
    resources: Resources = Field(default_factory=Resources, description="Processors and memory of one pod of the sink.")


def sink(analytics: Analytics, events: Iterable[str]) -> Service:
    """Return the service that keeps these events; it may read them and writes none."""
    return Service(
        name=SINK,
        image=analytics.image,
        command=_COMMAND,
        subscribes=tuple(events),
        scale=analytics.scale,
        resources=analytics.resources,
    )
