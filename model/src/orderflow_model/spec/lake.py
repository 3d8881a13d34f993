"""`spec.analytics.lake` and `retention`: where a flow's events go from Postgres, for how long they are kept there and
here, and the program that this implies.
"""

from typing import Annotated

from pydantic import Field

from orderflow_model.spec.base import Part, Rule, UniqueBy
from orderflow_model.spec.references import SecretKeyRef, SecretSource
from orderflow_model.spec.scalars import Duration, EventName, between
from orderflow_model.spec.services import EnvSource, EnvVar, Image, Resources, Service

LAKE = "lake"
"""The name of the program that fills the lake; its role reads the sink's table, and it is no service of the picture."""
LAKE_PLACE = "spec.analytics.lake"
"""Where the resource asks for it."""
SCRATCH_FOLDER = "/var/lib/orderflow"
"""Where the program's pod has a disk: dbt works in a file as large as the marts."""
_COMMAND = ("python", "-m", "orderflow_analytics.exporter")
_HOUR_MS, _DAY_HOURS = 3_600_000, 24

LakeUrl = Annotated[str, Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._=-]+)*$", max_length=512)]
StoreAddress = Annotated[
    str,
    Field(pattern=r"^https?://[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[1-9][0-9]{0,4})?$", max_length=512),
    Rule(
        cel="url(self).getPort() == '' || int(url(self).getPort()) <= 65535",
        message="ports end at 65535",
        holds=lambda address: int(address.split("/")[2].partition(":")[2] or 0) <= 65_535,
    ),
]
Kept = Annotated[Duration, between("24h", "876000h")]


class EventRetention(Part):
    """For how long the events of one name are kept, where that differs."""

    event: EventName = Field(description="The event.")
    stored: Kept | None = Field(None, description="How long Postgres keeps it; as the others when left out.")
    lake: Kept | None = Field(None, description="How long the lake's raw zone keeps it; as the others when left out.")


class Retention(Part):
    """For how long events are kept, in whole days (UTC) after the one on which they were stored."""

    stored: Kept | None = Field(
        None,
        description="How long Postgres keeps an event that the lake has; for ever when left out. What the lake has not "
        "got is never dropped.",
    )
    lake: Kept | None = Field(
        None, description="How long the lake keeps an event as it came (raw, quarantine); for ever when left out."
    )
    events: Annotated[tuple[EventRetention, ...], Field(max_length=200), UniqueBy("event")] = Field(
        (), description="Events that are kept longer or shorter than the others."
    )

    def of(self, event: str) -> EventRetention:
        """Return how an event's retention differs from that of the others."""
        return next((one for one in self.events if one.event == event), EventRetention(event=event))


class LakeCredentials(Part):
    """With what the lake's program proves itself at the object store."""

    access_key_id: SecretSource = Field(description="Where the id of the access key stands.")
    secret_access_key: SecretSource = Field(description="Where the secret access key stands.")


class Lake(Part):
    """The lake of a flow, and the program that fills it."""

    url: Annotated[
        str, Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._=-]+)*$", max_length=512)
    ] = Field(description="Bucket and path of the lake, such as s3://bucket/flow; nothing else may write there.")
    image: Image = Field(description="Container image that has orderflow_analytics with what the lake needs.")
    endpoint: StoreAddress | None = Field(
        None, description="Address of the object store, such as https://s3.store.svc:9000; AWS when left out."
    )
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]+$", max_length=64)] = Field(
        "us-east-1", description="Region of the bucket."
    )
    credentials: LakeCredentials | None = Field(
        None, description="Access key; what the pod's account is given by the cluster when left out."
    )
    resources: Resources = Field(
        default_factory=lambda: Resources.model_validate(
            {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}}
        ),
        description="Processors and memory of its pod; dbt takes most of it. At most 2Gi when left out.",
    )


class _LakeProgram(Service):
    """A service that hears and says nothing by Kafka: it reads what the sink stored."""

    rules = ()


def lake_service(lake: Lake) -> Service:
    """Return the program that fills a lake as a service of the flow, of which there is one pod."""
    told = {"AWS_REGION": lake.region, "TMPDIR": SCRATCH_FOLDER}
    if lake.endpoint is not None:
        told |= {"AWS_ENDPOINT_URL": lake.endpoint, "AWS_ALLOW_HTTP": str(lake.endpoint.startswith("http:")).lower()}
    variables = [EnvVar(name=name, value=value) for name, value in told.items()]
    variables += [
        EnvVar(name=name, valueFrom=EnvSource.model_validate(where.model_dump())) for name, where in _keys(lake).items()
    ]
    return _LakeProgram(name=LAKE, image=lake.image, command=_COMMAND, env=tuple(variables), resources=lake.resources)


def lake_secrets(lake: Lake) -> dict[str, SecretKeyRef]:
    """Return the Secrets that a lake names, by where it does."""
    names = ("accessKeyId", "secretAccessKey")
    found = zip(names, _keys(lake).values(), strict=False)
    return {f"{LAKE_PLACE}.credentials.{name}.secretKeyRef": one.secret_key_ref for name, one in found}


def _keys(lake: Lake) -> dict[str, SecretSource]:
    given = lake.credentials
    if given is None:
        return {}
    return {"AWS_ACCESS_KEY_ID": given.access_key_id, "AWS_SECRET_ACCESS_KEY": given.secret_access_key}


def days(kept: Duration | None) -> int | None:
    """Return a time in whole days, rounded up."""
    return None if kept is None else -(-kept.milliseconds // (_HOUR_MS * _DAY_HOURS))
