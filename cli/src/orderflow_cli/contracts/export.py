"""The documents of a flow's contracts, as files of one folder.

The same flow and classes make the same bytes. A schema of an earlier version stays beside its successor, so that events
of that version are still judged; what an export made of an event that is gone goes with the next one.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from orderflow_cli.contracts.asyncapi import asyncapi
from orderflow_cli.contracts.catalogue import catalogue
from orderflow_cli.contracts.event_contract import MADE, EventContract
from orderflow_cli.contracts.odcs import odcs
from orderflow_cli.errors import place_of
from orderflow_model.contracts.errors import ContractsError
from orderflow_model.flow import OrderFlow

SCHEMAS = "schemas"
_ODCS = "odcs"
_MOST_BYTES = 10_000_000


def documents(flow: OrderFlow, contracts: Iterable[EventContract]) -> dict[str, str]:
    """Return the text of each document by its path in the folder."""
    contracts = tuple(contracts)
    made = {
        "asyncapi.yaml": _yaml(asyncapi(flow, contracts)),
        "catalogue.html": catalogue(flow, contracts),
    }
    for contract in contracts:
        made[f"{_ODCS}/{contract.event}.odcs.yaml"] = _yaml(odcs(flow.metadata.name, contract))
        if contract.schema:
            made[schema_path(contract.event, contract.version)] = _json(contract.schema)
    return made


def schema_path(event: str, version: int) -> str:
    """Return where an export has the JSON Schema of a version of an event."""
    return f"{SCHEMAS}/{event}.v{version}.json"


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write documents into a folder, and remove those of events that are gone; raise `ContractsError`."""
    try:
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8", newline="\n")
        for gone in _gone(folder, files):
            gone.unlink()
    except OSError as error:
        raise ContractsError(f"the export cannot be written: {place_of(error)}", "Name another folder (--to)") from None


def _gone(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Return the documents that an export made of events that are not among these."""
    events = {Path(path).name.partition(".")[0] for path in files if path.startswith(f"{_ODCS}/")}
    found = [*(folder / SCHEMAS).glob("*.v*.json"), *(folder / _ODCS).glob("*.odcs.yaml")]
    return [path for path in found if path.name.partition(".")[0] not in events and _is_ours(path)]


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return MADE.encode() in file.read(_MOST_BYTES)


def _json(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


class _Dumper(yaml.SafeDumper):
    """YAML without anchors: a part that is used twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return that nothing is written by reference."""
        return True


def _yaml(document: Mapping[str, Any]) -> str:
    return f"# {MADE}\n" + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
