"""The sources of a dbt project, made from contracts: a table an event, its columns with their types.

dbt-duckdb reads them by its plugin for Delta, which needs no extension of DuckDB.
"""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import yaml

from orderflow_analytics.contracts.contract import Contract
from orderflow_analytics.errors import ContractError
from orderflow_analytics.lake.zones import QUARANTINE, curated_schema
from orderflow_model import environment

FILE = "models/sources.yml"
"""Where in a dbt project they stand."""
NAME = "lake"
_HEAD = "# Made from the flow's contracts by `python -m orderflow_analytics sources FLOW.yaml`; not to be edited.\n"
_TYPES = {
    pa.string(): "VARCHAR",
    pa.binary(): "BLOB",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.date32(): "DATE",
    pa.timestamp("us", "UTC"): "TIMESTAMP WITH TIME ZONE",
}


def sources(contracts: Iterable[Contract]) -> str:
    """Return the file of sources, as YAML."""
    tables = [_table(f"curated/{one.table}", _words(one), curated_schema(one)) for one in contracts]
    tables.append(_table("quarantine", "Events that do not fit their contract.", QUARANTINE))
    if len({table["name"] for table in tables}) < len(tables):
        raise ContractError(
            "an event is called QUARANTINE, as the table of those that do not fit; models need another name"
        )
    source = {"name": NAME, "description": "Curated events, and what was set aside.", "tables": tables}
    return _HEAD + yaml.safe_dump({"version": 2, "sources": [source]}, sort_keys=False, width=120)


def _table(place: str, description: str, columns: pa.Schema) -> dict[str, Any]:
    path = f"{{{{ env_var('{environment.LAKE}') }}}}/{place}"
    return {
        "name": place.rpartition("/")[2],
        "description": description,
        "config": {"meta": {"plugin": "delta", "delta_table_path": path}},
        "columns": [{"name": field.name, "data_type": _type(field.type)} for field in columns],
    }


def _words(contract: Contract) -> str:
    return (contract.kind.__doc__ or contract.event).partition("\n")[0]


def _type(kind: pa.DataType) -> str:
    """Return a type as DuckDB writes it."""
    if pa.types.is_list(kind):
        return f"{_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(f'{field.name} {_type(field.type)}' for field in kind)})"
    if kind not in _TYPES:
        raise ContractError(f"type {kind} is none that a mart can have")
    return _TYPES[kind]
