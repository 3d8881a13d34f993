"""The contracts of a flow's events: `Event` classes of one module, each with its columns and its own reader.

A row is judged by the class that services read by: what is of an older version is lifted, what does not fit is refused
with the same words.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO

import pyarrow as pa
import pyarrow.json as pa_json
from pydantic_core import to_json

from orderflow_analytics.contracts.arrow_types import Columns, as_read, columns_of
from orderflow_analytics.contracts.json_texts import with_texts
from orderflow_analytics.errors import ContractError
from orderflow_contracts.event import Event, UndecodableError
from orderflow_contracts.event_classes import load_event_classes
from orderflow_contracts.sealed import masked

_MIN_BLOCK_BYTES = 1 << 20
_MOST_WORDS = 500


@dataclass(frozen=True)
class Contract:
    """The contract of one event.

    `personal` are JSON pointers to data that get no column, beside what the class itself marks.
    """

    kind: type[Event]
    personal: tuple[str, ...] = ()

    @property
    def event(self) -> str:
        """Return the event's name."""
        return self.kind.TYPE

    @property
    def table(self) -> str:
        """Return the name of its curated table: `order_created` for ORDER_CREATED."""
        return self.event.lower()

    @property
    def columns(self) -> pa.Schema:
        """Return the columns of its data."""
        return self._columns.schema

    @cached_property
    def _columns(self) -> Columns:
        schema = self.kind.model_json_schema(by_alias=False, mode="serialization")
        return columns_of(schema, self.event, self.personal)

    def read(self, data: bytes, version: int) -> bytes:
        """Return the data in today's form, as JSON by columns' names; raise `UndecodableError` with the reason."""
        read = to_json(self.kind.decode(masked(data), version), by_alias=False)
        return with_texts(read, self._columns.texts) if self._columns.texts else read

    def typed(self, read: Sequence[bytes]) -> pa.Table:
        """Return what was read as columns, a row each; what has no column is left out."""
        if not read:
            return self.columns.empty_table()
        text = b"\n".join(read)
        options = pa_json.ReadOptions(use_threads=False, block_size=max(len(text), _MIN_BLOCK_BYTES))
        wanted = pa_json.ParseOptions(explicit_schema=as_read(self.columns), unexpected_field_behavior="ignore")
        return pa_json.read_json(BytesIO(text), options, wanted).select(self.columns.names).cast(self.columns)


@dataclass(frozen=True)
class Judged:
    """One event's data in today's form, or why they do not fit."""

    read: bytes = b""
    reason: str = ""


def judge(contract: Contract, events: Iterable[tuple[bytes, int]]) -> tuple[list[Judged], pa.Table]:
    """Return what became of each event, data and version, and those that fit as columns."""
    judged = [_read(contract, data, version) for data, version in events]
    try:
        return judged, _typed(contract, judged)
    except pa.ArrowInvalid:  # a value that the contract allows and no column holds, as a number of 30 digits
        judged = [_stored(contract, one) for one in judged]
        return judged, _typed(contract, judged)


def _read(contract: Contract, data: bytes, version: int) -> Judged:
    try:
        return Judged(contract.read(data, version))
    except UndecodableError as error:
        return Judged(reason=str(error))


def _stored(contract: Contract, one: Judged) -> Judged:
    try:
        _typed(contract, [one])
    except pa.ArrowInvalid as error:
        return Judged(reason=f"{contract.event}: {error}"[:_MOST_WORDS])
    return one


def _typed(contract: Contract, judged: Iterable[Judged]) -> pa.Table:
    return contract.typed([one.read for one in judged if not one.reason])


def load_contracts(module: str | None, personal: Mapping[str, tuple[str, ...]]) -> tuple[Contract, ...]:
    """Return the contracts of a module, in order; none where no module is named. Raise `ContractError`.

    `personal` are JSON pointers to personal data, by event.
    """
    if module is None:
        return ()
    try:
        kinds = load_event_classes(module)
    except ImportError as error:
        raise ContractError(f"spec.analytics.contracts: {module} cannot be imported ({error})") from error
    if not kinds:
        raise ContractError(f"spec.analytics.contracts: {module} has no Event class with a TYPE")
    return tuple(Contract(kinds[event], personal.get(event, ())) for event in sorted(kinds))
