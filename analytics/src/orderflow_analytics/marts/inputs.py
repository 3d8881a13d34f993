"""What each mart was made from, and whether that has changed: looked up in every run, so without DuckDB."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import FileSelector, PyFileSystem

from orderflow_analytics.contracts.contract import Contract
from orderflow_analytics.errors import ModelsError
from orderflow_analytics.lake.zones import Lake

INPUTS = "inputs"
"""By which name a mart's commit says what it was made from."""
_INPUT_FILES = (".sql", ".yml", ".yaml", ".csv", ".py")


def inputs_of(project: Path, lake: Lake, contracts: Sequence[Contract]) -> str:
    """Return a digest of what marts would be made from now; raise `ModelsError` where there is no project."""
    if not (project / "dbt_project.yml").is_file():
        raise ModelsError(f"spec.analytics.models: {project} has no dbt_project.yml")
    tables = {one.event: lake.curated(one) for one in contracts}
    filled = {event: [table.made, table.position, table.rebuilds] for event, table in tables.items()}
    return project_digest(project, json.dumps(filled, sort_keys=True))


def old_marts(project: Path, lake: Lake, inputs: str) -> list[str]:
    """Return the project's marts that were made from something else."""
    return [mart for mart in marts_of(project) if made_from(lake.mart_uri(mart)) != inputs]


def marts_of(project: Path) -> list[str]:
    """Return the project's marts: what stands in its folder of that name."""
    return sorted(file.stem for file in (project / "models" / "marts").rglob("*.sql"))


def unmade_marts(lake: Lake, made: Sequence[str]) -> dict[str, list[str]]:
    """Return the files of each mart that a build once published and that is not among those made now."""
    listed = lake_files(lake).get_file_info(FileSelector("serving", recursive=True, allow_not_found=True))
    files: dict[str, list[str]] = {}
    for info in listed:
        mart = info.path.lstrip("/").split("/")[1]
        if info.is_file and mart not in made:
            files.setdefault(mart, []).append(info.path)
    return {mart: own for mart, own in sorted(files.items()) if made_from(lake.mart_uri(mart))}


def lake_files(lake: Lake) -> PyFileSystem:
    """Return the lake's files."""
    return PyFileSystem(DeltaStorageHandler(lake.uri))


def project_digest(project: Path, *more: str) -> str:
    """Return a digest of a dbt project's files, and of what else a build of it rests on."""
    digest = hashlib.sha256("\0".join(more).encode())
    for file in sorted(path for path in project.rglob("*") if path.suffix in _INPUT_FILES):
        digest.update(f"\0{file.relative_to(project)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def made_from(uri: str) -> str | None:
    """Return the digest of what the mart at a place was made from; None where there is none."""
    if not DeltaTable.is_deltatable(uri):
        return None
    found: str | None = DeltaTable(uri).history(1)[0].get(INPUTS)
    return found
