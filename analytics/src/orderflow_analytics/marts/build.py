"""Builds and tests a dbt project on the curated zone, and publishes its marts only when all of it holds.

dbt works in a file that nobody else sees. What it made is then written to `serving`, a Delta table a mart, each with a
digest of what it was made from: how far the curated tables were filled, and the project's files. Where all of them have
that digest, nothing is to be done; a run that was cut off between two of them does the rest.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

import duckdb
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake

from orderflow_analytics.contracts.contract import Contract
from orderflow_analytics.errors import ModelsError
from orderflow_analytics.lake.table import KEPT_HOURS, writer
from orderflow_analytics.lake.zones import Lake
from orderflow_analytics.marts.artifacts import Artifacts, read_artifacts
from orderflow_analytics.marts.inputs import INPUTS, inputs_of, lake_files, marts_of, old_marts, unmade_marts
from orderflow_model import environment

MARTS_FILE = "ORDERFLOW_MARTS_FILE"
"""Tells the dbt project's profile which DuckDB file to work in."""
SCHEMA = "main_marts"
"""Where dbt puts the models of a folder with `+schema: marts`."""
_WORKSPACE = "orderflow-marts-"
_DBT = ("-c", "from dbt.cli.main import cli; cli()", "--no-version-check", "--no-use-colors", "--quiet")
_LAST_LINES = 15
_AT_ONCE = 10_000
"""Rows of a mart that are held while it is written; DuckDB by itself takes a million."""
_LITTLE: dict[str, str | bool | int | float | list[str]] = {"threads": 1, "memory_limit": "32MB"}
TARGET = "target"


class ModelsFailError(ModelsError):
    """A model does not build, or a test does not hold; `made` is what dbt left."""

    def __init__(self, why: str, made: Artifacts) -> None:
        super().__init__(why)
        self.made = made


@dataclass(frozen=True)
class Built:
    """What a build did: the marts that it wrote, with their columns, and what dbt left; nothing where all was there.

    `removed` are the marts that no model makes any more.
    """

    marts: Mapping[str, pa.Schema] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    made: Artifacts = field(default_factory=Artifacts)


def build_marts(project: Path, lake: Lake, contracts: Sequence[Contract]) -> Built:
    """Bring the marts up to the curated zone and say what was done; raise `ModelsError`."""
    inputs = inputs_of(project, lake, contracts)
    old = old_marts(project, lake, inputs)
    if not old:
        return Built(removed=_remove_unmade(lake, marts_of(project)))
    with _workspace() as folder:
        file = folder / "marts.duckdb"
        _run_dbt("build", project, lake, file)
        with duckdb.connect(str(file), read_only=True, config=_LITTLE) as made:
            for mart in old:
                _publish(made, mart, lake.mart_uri(mart), inputs)
        columns = {mart: pa.schema(DeltaTable(lake.mart_uri(mart)).schema().to_arrow()) for mart in old}
        return Built(columns, _remove_unmade(lake, marts_of(project)), read_artifacts(folder / TARGET))


def _remove_unmade(lake: Lake, made: Sequence[str]) -> tuple[str, ...]:
    """Remove the marts that a build once published and no model makes any more, and return them.

    Nobody would bring them up to date, and what was in them would stay for ever. What else stands there is left alone.
    """
    files, unmade = lake_files(lake), unmade_marts(lake, made)
    for own in unmade.values():
        # the log last, its end first: killed on the way, it is known as a build's table, and the next run does the rest
        for path in sorted(sorted(own, reverse=True), key=lambda path: "/_delta_log/" in path):
            files.delete_file(path)
    return tuple(unmade)


@contextmanager
def _workspace() -> Iterator[Path]:
    """Yield an empty folder, which is gone afterwards; what runs that were killed have left goes before."""
    for left in Path(gettempdir()).glob(f"{_WORKSPACE}*"):
        with suppress(OSError), _held(left):
            shutil.rmtree(left)
    with TemporaryDirectory(prefix=_WORKSPACE) as folder, _held(Path(folder)):
        yield Path(folder)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Lock a folder while this process lives; raise `OSError` when another has it, or it is not ours."""
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(number)


def read_manifest(project: Path, lake: Lake) -> dict[str, Any]:
    """Return dbt's manifest of a project, which it parses; raise `ModelsError`."""
    with _workspace() as folder:
        _run_dbt("parse", project, lake, folder / "marts.duckdb")
        found: dict[str, Any] = json.loads((folder / TARGET / "manifest.json").read_bytes())
    return found


def _run_dbt(command: str, project: Path, lake: Lake, file: Path) -> None:
    env = os.environ | {environment.LAKE: lake.uri, MARTS_FILE: str(file), "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    beside = file.parent
    places = [f"--project-dir={project}", f"--profiles-dir={project}"]
    places += [f"--target-path={beside / TARGET}", f"--log-path={beside / 'logs'}"]
    program = [sys.executable, *_DBT, command, *places]
    done = subprocess.run(program, env=env, capture_output=True, text=True, check=False)  # noqa: S603 - dbt of this environment
    if done.returncode:
        words = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_LAST_LINES:])
        why = f"the models of {project} do not hold; the marts stay as they were:\n{words}"
        raise ModelsFailError(why, read_artifacts(beside / TARGET))


def _publish(made: duckdb.DuckDBPyConnection, mart: str, uri: str, inputs: str) -> None:
    """Write a mart in one commit that says what it was made from, and remove what it was long before."""
    told = CommitProperties(custom_metadata={INPUTS: inputs})
    try:
        rows: pa.RecordBatchReader = made.sql(f'SELECT * FROM {SCHEMA}."{mart}"').to_arrow_reader(_AT_ONCE)  # noqa: S608 - dbt's names
        write_deltalake(
            uri, rows, mode="overwrite", schema_mode="overwrite", writer_properties=writer(), commit_properties=told
        )
    except Exception as error:  # DuckDB and Arrow raise types of their own, delta-rs bare ones too
        words = str(error).partition("\n")[0]
        raise ModelsError(f"mart {mart} cannot be published; it stays as it was: {words}") from error
    DeltaTable(uri).vacuum(KEPT_HOURS, dry_run=False, full=True, commit_properties=told)
