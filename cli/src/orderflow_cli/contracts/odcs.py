"""An event as a data contract in the form of the Open Data Contract Standard, version 3.2.0.

`physicalName` is where the lake has it; what is personal has none there.
"""

from typing import Any

from orderflow_cli.contracts.event_contract import EventContract
from orderflow_model.contracts.columns import column_name, table_name
from orderflow_model.contracts.schema import UNION, Field

_DAY_MS = 86_400_000
_IDENTITY = ["event_source", "event_id"]


def odcs(flow: str, contract: EventContract) -> dict[str, Any]:
    """Return the contract of an event as plain data."""
    return {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": f"{flow}.{contract.event}",
        "name": contract.event,
        "version": f"{contract.version}.0.0",
        "status": "active",
        "dataProduct": flow,
        **({"description": {"purpose": contract.words}} if contract.words else {}),
        "schema": [_table(contract)],
        "team": {"name": ", ".join(contract.producers) or "unknown"},
        "roles": [
            *({"role": service, "access": "write"} for service in contract.producers),
            *({"role": service, "access": "read"} for service in contract.consumers),
        ],
        "slaProperties": [
            {
                "property": "retention",
                "value": contract.topic.retention_ms / _DAY_MS,
                "unit": "d",
                "element": contract.event,
            }
        ],
    }


def _table(contract: EventContract) -> dict[str, Any]:
    table = {
        "name": contract.event,
        "physicalName": table_name(contract.event),
        "physicalType": "topic",
        "logicalType": "object",
        "quality": [_once()],
    }
    below = contract.data.below if contract.data else ()
    return table | ({"properties": [_property(field) for field in below]} if below else {})


def _once() -> dict[str, Any]:
    return {
        "name": "each event once",
        "type": "library",
        "metric": "duplicateValues",
        "arguments": {"properties": _IDENTITY},
        "mustBe": 0,
        "unit": "rows",
    }


def _property(field: Field) -> dict[str, Any]:
    found: dict[str, Any] = {"name": field.name, "required": field.required} if field.name != "*" else {}
    if field.kind != UNION:
        found["logicalType"] = field.kind
    if field.personal:
        found["classification"] = "personal"
    elif field.name != "*":
        found["physicalName"] = column_name(field.name)
    if field.words:
        found["description"] = field.words
    if field.kind == "array" and field.below:
        found["items"] = _property(field.below[0])
    elif field.below:
        found["properties"] = [_property(one) for one in field.below]
    if field.required and not field.personal and field.name != "*":
        found["quality"] = [{"type": "library", "metric": "nullValues", "mustBe": 0, "unit": "rows"}]
    return found
