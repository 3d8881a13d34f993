"""`spec.privacy`: that personal values of the flow's events are sealed, by a key a person, and who reads them."""

from typing import Annotated

from pydantic import Field

from orderflow_model.spec.base import Part, Unique
from orderflow_model.spec.references import SecretSource
from orderflow_model.spec.scalars import ServiceName

PRIVACY = "privacy"
"""The schema of the people's keys; no service is called so."""


class Privacy(Part):
    """What the flow's Event classes mark as personal is sealed wherever an event is kept, and people can be erased."""

    secret: SecretSource = Field(
        description="Where the flow's secret stands, 32 letters or more; it wraps the people's keys. It cannot change: "
        "what was sealed would not open any more."
    )
    readers: Annotated[tuple[ServiceName, ...], Field(min_length=1, max_length=50), Unique()] = Field(
        description="The services that read and publish personal values; all others see masks."
    )
