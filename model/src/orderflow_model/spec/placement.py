"""`spec.placement`: which services share a process. Their code is the same either way."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from orderflow_model.spec.base import Part, Unique, UniqueBy
from orderflow_model.spec.scalars import LABEL, ServiceName
from orderflow_model.spec.services import Resources

GROUP_MAX = 15
"""With what tells one set of services from another, what objects are named after is no longer than for a service."""


class PlacementMode(StrEnum):
    """How services are placed that no group names."""

    APART = "Apart"
    TOGETHER = "Together"


class ProcessGroup(Part):
    """Services that share a process."""

    name: Annotated[str, Field(pattern=LABEL, max_length=GROUP_MAX)] = Field(
        description="Name of the group; its Deployment is named after it and its services."
    )
    services: Annotated[tuple[ServiceName, ...], Field(min_length=1, max_length=50), Unique()] = Field(
        description="The services in it, all of one image."
    )
    resources: Resources | None = Field(
        None, description="Processors and memory of one pod of the group; the sum of its services' when left out."
    )


class Placement(Part):
    """Which services share a process."""

    mode: PlacementMode = Field(
        PlacementMode.APART,
        description="How services are placed that no group names. Apart: each in a process of its own. Together: all "
        "in one.",
    )
    groups: Annotated[tuple[ProcessGroup, ...], Field(max_length=50), UniqueBy("name")] = Field(
        (), description="Services that share a process, by name of the group."
    )
