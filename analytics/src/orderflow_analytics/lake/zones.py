"""Which tables a lake has, and what each row says of its event.

`raw` holds everything, by event and day of storing; `curated/EVENT` what fits, by the day of the event; `quarantine`
what does not, with the reason; `serving` the marts. The first is only added to: all others can be made anew from it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
from deltalake import DeltaTable

from orderflow_analytics.contracts.contract import Contract
from orderflow_analytics.errors import ContractError
from orderflow_analytics.lake.table import LakeTable

_TIME = pa.timestamp("us", "UTC")
EVENT = pa.schema(
    [
        ("event_source", pa.string()),
        ("event_id", pa.string()),
        ("event_version", pa.int32()),
        ("event_key", pa.string()),
        ("event_time", _TIME),
        ("stored_at", _TIME),
        ("batch", pa.int64()),
    ]
)
"""What every row says of its event. `batch` counts up with the transactions that stored events."""
TYPE, DATA, REASON = pa.field("event_type", pa.string()), pa.field("data", pa.binary()), pa.field("reason", pa.string())
STORED_DATE, EVENT_DATE = pa.field("stored_date", pa.date32()), pa.field("event_date", pa.date32())
SIZE = pa.field("size", pa.int32())
RAW = pa.schema([TYPE, STORED_DATE, *EVENT, SIZE, DATA])
QUARANTINE = pa.schema([TYPE, *EVENT, REASON, DATA])


def curated_schema(contract: Contract) -> pa.Schema:
    """Return the columns of an event's curated table; raise `ContractError` where its data take a name of ours."""
    ours = [EVENT_DATE, *EVENT]
    if taken := {field.name for field in ours} & {name.lower() for name in contract.columns.names}:
        raise ContractError(f"{contract.event}: the lake has columns called {', '.join(sorted(taken))} of its own")
    return pa.schema([*ours, *contract.columns])


@dataclass(frozen=True)
class Lake:
    """The tables of a flow at a place; they are made as they are asked for."""

    uri: str
    flow: str

    @property
    def raw_uri(self) -> str:
        """Return where the table of all events is."""
        return f"{self.uri}/raw"

    @property
    def quarantine_uri(self) -> str:
        """Return where the table of events that do not fit is."""
        return f"{self.uri}/quarantine"

    def raw(self) -> LakeTable:
        """Return the table of all events as they came."""
        return LakeTable(self.raw_uri, RAW, ["event_type", "stored_date"], self.flow)

    def quarantine(self) -> LakeTable:
        """Return the table of events that do not fit their contract."""
        return LakeTable(self.quarantine_uri, QUARANTINE, ["event_type"], self.flow)

    def curated(self, contract: Contract) -> LakeTable:
        """Return the table of one event."""
        return LakeTable(self.curated_uri(contract), curated_schema(contract), ["event_date"], self.flow)

    def tidy(self, contracts: Iterable[Contract]) -> None:
        """Make few files of many in every table behind the raw one; what a table has stays."""
        for table in (self.quarantine(), *map(self.curated, contracts)):
            table.tidy()

    def first_day(self, contracts: Iterable[Contract]) -> date | None:
        """Return the first day that a curated table has, of those that are there; None where they have none."""
        uris = [uri for uri in map(self.curated_uri, contracts) if DeltaTable.is_deltatable(uri)]
        days = [one[EVENT_DATE.name] for uri in uris for one in DeltaTable(uri).partitions()]
        return date.fromisoformat(str(min(days))) if days else None

    def mart_uri(self, mart: str) -> str:
        """Return where a mart is."""
        return f"{self.uri}/serving/{mart}"

    def curated_uri(self, contract: Contract) -> str:
        """Return where the table of one event is."""
        return f"{self.uri}/curated/{contract.table}"


def missing(events: Iterable[str], contracts: Iterable[Contract]) -> list[str]:
    """Return the events that stay in the raw zone, since nobody says what they are made of."""
    known = {contract.event for contract in contracts}
    return sorted(set(events) - known)
