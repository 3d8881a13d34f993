"""`spec.services[].push`: a service that is no Python module of ours, but a program that takes its events by HTTP.

Beside it runs a dispatcher of ours, which is what is the service to Kafka and Postgres: it reads the events, hands each
to the program's port and publishes what that answers with.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from orderflow_model.spec.base import Part, Rule


class PushProtocol(StrEnum):
    """What the program speaks."""

    CLOUD_EVENTS = "CloudEvents"
    DAPR = "Dapr"


SERVICES_IMAGE = "orderflow/services:dev"
DISPATCHER = "orderflow_push"
"""The module of the dispatcher, which its image has."""
MOST_AT_ONCE = 500
"""As many events as the runtime takes into one batch."""


class Push(Part):
    """How a program of any language is handed its events."""

    protocol: PushProtocol = Field(
        PushProtocol.CLOUD_EVENTS,
        description="What the program speaks. CloudEvents: each event is POSTed to path, and a CloudEvent in the "
        "answer is published. Dapr: the program says at /dapr/subscribe where it takes each event, as for Dapr's own "
        "sidecar.",
    )
    port: Annotated[int, Field(strict=True, ge=1, le=65_535)] = Field(
        3000, description="Port that the program listens on; its variable PORT says so too."
    )
    path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~/-]*$", max_length=256)] = Field(
        "/", description="Path of the POST, where protocol is CloudEvents."
    )
    concurrency: Annotated[int, Field(strict=True, ge=1, le=MOST_AT_ONCE)] = Field(
        50, description="How many requests are under way at a time; those of one key go one after the other."
    )
    batch: Annotated[int, Field(strict=True, ge=1, le=MOST_AT_ONCE)] = Field(
        1, description="How many events one request may hold, as a batch of CloudEvents; 1: each has its own request."
    )
    image: Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._:/@-]*$", max_length=512)] = Field(
        SERVICES_IMAGE, description="Container image that has orderflow_push, the dispatcher beside the program."
    )

    rules = (
        Rule(
            cel="!has(self.protocol) || self.protocol != 'Dapr' || !has(self.batch) || self.batch == 1",
            message="batch is CloudEvents's: a program written for Dapr takes events singly",
            holds=lambda push: push.protocol is not PushProtocol.DAPR or push.batch == 1,
        ),
        Rule(
            cel="!has(self.protocol) || self.protocol != 'Dapr' || !has(self.path) || self.path == '/'",
            message="path is CloudEvents's: a program written for Dapr says at /dapr/subscribe where it takes events",
            holds=lambda push: push.protocol is not PushProtocol.DAPR or push.path == "/",
        ),
    )
