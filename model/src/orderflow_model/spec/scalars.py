"""The bounded strings and numbers the resource is made of.

The parts of the model compose their fields from these; each carries its own bounds into the CRD.
"""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from orderflow_model.names import FLOW_MAX, SERVICE_MAX
from orderflow_model.spec.base import Rule

DURATION = r"^[1-9][0-9]{0,8}(ms|s|m|h)$"
QUANTITY = r"^[0-9]{1,9}(\.[0-9]{1,3})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
LABEL = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
TOPIC = r"^[a-zA-Z0-9._-]+$"

_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_FACTORS = {"": Decimal(1), "m": Decimal("0.001")}
_FACTORS |= {unit: Decimal(1000**power) for power, unit in enumerate(("k", "M", "G", "T"), 1)}
_FACTORS |= {unit: Decimal(1024**power) for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti"), 1)}


class Duration(str):
    """A length of time as one number and its unit: `500ms`, `1s`, `5m` or `168h`."""

    __slots__ = ()

    @property
    def milliseconds(self) -> int:
        """The length in whole milliseconds."""
        number = self.rstrip("msh")
        return int(number) * _MILLISECONDS[self[len(number) :]]

    @property
    def seconds(self) -> int:
        """The length in whole seconds, rounded up."""
        return -(-self.milliseconds // 1000)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.str_schema(pattern=DURATION, max_length=11)
        return core_schema.no_info_after_validator_function(cls, text)


class Quantity(str):
    """An amount as Kubernetes writes it: `250m` of a processor, `128Mi` of memory."""

    __slots__ = ()

    @property
    def amount(self) -> Decimal:
        """The amount in the base unit: processors or bytes."""
        number = self.rstrip("mkMGTi")
        return Decimal(number) * _FACTORS[self[len(number) :]]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.str_schema(pattern=QUANTITY, max_length=16)
        return core_schema.no_info_after_validator_function(cls, text)


def between(low: str, high: str) -> Rule:
    """Return the rule that a duration lies between two others, both included."""
    least, most = Duration(low).milliseconds, Duration(high).milliseconds
    return Rule(
        cel=f"duration(self) >= duration('{low}') && duration(self) <= duration('{high}')",
        message=f"must lie between {low} and {high}",
        holds=lambda value: least <= value.milliseconds <= most,
    )


def _reserved_in_postgres(name: str) -> bool:
    return name == "pg" or name.startswith("pg-")


EventName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$", max_length=100)]

FlowName = Annotated[
    str,
    Field(pattern=LABEL, max_length=FLOW_MAX),
    Rule(
        cel="self != 'pg' && !self.startsWith('pg-')",
        message="names that begin with pg- are reserved by Postgres, where roles are named after the flow",
        holds=lambda name: not _reserved_in_postgres(name),
    ),
]

ServiceName = Annotated[
    str,
    Field(pattern=LABEL, max_length=SERVICE_MAX),
    Rule(
        cel="!(self in ['pg', 'public', 'information-schema']) && !self.startsWith('pg-')",
        message="this name is reserved by Postgres, where a schema is named after the service",
        holds=lambda name: not (_reserved_in_postgres(name) or name in ("public", "information-schema")),
    ),
]

TopicName = Annotated[
    str,
    Field(pattern=TOPIC, max_length=249),
    Rule(
        cel="!(self in ['.', '..']) && !self.startsWith('__')",
        message="Kafka keeps '.', '..' and names that begin with '__' for itself",
        holds=lambda name: name not in (".", "..") and not name.startswith("__"),
    ),
]

# `$(VAR)` would be expanded in a pod and not on a laptop: one resource, two meanings.
_NO_EXPANSION = Rule(
    cel="!self.contains('$(')",
    message="must not contain '$(': it is expanded in a pod and not on a laptop; write the value out",
    holds=lambda text: "$(" not in text,
)

PlainText = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=4096), _NO_EXPANSION]
Folder = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=1024), _NO_EXPANSION]
Argument = Annotated[str, Field(pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$", max_length=4096), _NO_EXPANSION]
"""A word of a command; a script has several lines."""
ObjectName = Annotated[
    str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", max_length=253)
]
ObjectKey = Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]
Percent = Annotated[str, Field(pattern=r"^(100|[0-9]{1,2}(\.[0-9]{1,3})?)$", max_length=6)]
JsonPointer = Annotated[str, Field(pattern=r"^(/([^~/\x00-\x1f]|~0|~1)+)+$", max_length=256)]

Partitions = Annotated[
    int,
    Field(strict=True, ge=1, le=1000, description="Partitions of the topic; can be added, never taken away."),
]
Replicas = Annotated[int, Field(strict=True, ge=1, le=9, description="Copies of each partition over the brokers.")]
Retention = Annotated[
    Duration, Field(description="How long the topic keeps an event, such as 168h."), between("1m", "87600h")
]
