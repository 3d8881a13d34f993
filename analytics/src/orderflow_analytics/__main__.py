"""`python -m orderflow_analytics run FLOW.yaml` brings lake and marts up to what is stored, once; `sources FLOW.yaml`
writes the sources of the flow's dbt project anew. `run` without a file is the same in a pod, which ORDERFLOW_CONFIG
tells of the flow; where marts are old, it becomes `marts` for its second half. `ui FLOW.yaml` shows the steps as a
graph until it is ended.

`configuration` says what stands in the environment. Exits with 1, and words that say why, when it could not end.
"""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import asyncpg
import pyarrow as pa
from deltalake.exceptions import DeltaError

from orderflow_analytics.configuration import connected, contracts_of, pipeline_of, pipeline_told, project_of
from orderflow_analytics.errors import HELD_UP, AnalyticsError
from orderflow_analytics.lake.zones import missing
from orderflow_analytics.marts.sources import FILE, sources
from orderflow_analytics.pipeline import Pipeline, Report, fill, publish
from orderflow_model import environment
from orderflow_model.findings import InvalidResourceError
from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import load_flow
from orderflow_model.postgres_uri import InvalidUriError
from orderflow_runtime.settings import MisconfiguredError, Settings

T = TypeVar("T")
_PAINT = re.compile(r"\x1b\[[0-9;]*m|↳")


def main(arguments: list[str]) -> int:
    """Do what is asked for and print what was done; return the exit code."""
    match arguments:
        case ["run", *rest] if len(rest) <= 1:
            return _ended(lambda: _run(rest), *(f"{file}: " for file in rest))
        case ["marts", *rest] if len(rest) <= 1:
            return _ended(lambda: _publish(rest), *(f"{file}: " for file in rest))
        case ["ui", file]:
            return _ended(lambda: _show(load_flow(Path(file)), Path(file)), f"{file}: ")
        case ["sources", file]:
            return _ended(lambda: _write_sources(load_flow(Path(file))), f"{file}: ")
    print("usage: python -m orderflow_analytics run|ui|sources FLOW.yaml", file=sys.stderr)
    return 2


def _ended(work: Callable[[], None], where: str = "") -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a run may end anywhere, so Ctrl-C ends it at once
    pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own keeps 80 MB of what a run has given back
    try:
        work()
    except (DeltaError, OSError) as error:  # also CannotConnectError; delta-rs paints its words
        print(f"orderflow analytics: {' '.join(_PAINT.sub('', str(error)).split())}", file=sys.stderr)
        return 1
    except InvalidResourceError as error:
        print(f"orderflow analytics: {where}{error}", file=sys.stderr)
        return 1
    except (AnalyticsError, InvalidUriError, MisconfiguredError) as error:
        print(f"orderflow analytics: {error}", file=sys.stderr)
        return 1
    return 0


def _pipeline(files: Sequence[str]) -> Pipeline:
    """Return the steps of the flow in a file, or of that which a pod was told of; raise `MisconfiguredError`."""
    if files:
        return pipeline_of(load_flow(Path(files[0])), os.environ)
    config = Settings.read(os.environ).config
    if config.lake is None:
        raise MisconfiguredError(f"{environment.CONFIG} is that of service {config.service}, which fills no lake")
    return pipeline_told(config.flow, config.lake, os.environ)


def _run(files: Sequence[str]) -> None:
    """Fill the lake, and begin anew for marts that are old: so what filling took of memory is given back before."""
    pipeline = _pipeline(files)
    report = asyncio.run(_leased(fill, pipeline))
    _tell(report, missing((event.name for event in pipeline.told.events), pipeline.contracts))
    if not report.has_old_marts:
        print("marts: nothing new")
        return
    sys.stdout.flush()
    same = sys.orig_argv[1 : -1 - len(files)]
    os.execv(sys.executable, [sys.executable, *same, "marts", *files])  # noqa: S606 - this very program


def _publish(files: Sequence[str]) -> None:
    built = asyncio.run(_leased(publish, _pipeline(files)))
    print(f"marts: {', '.join(built.marts) or 'nothing new'}")
    if built.removed:
        print(f"removed, as no model makes them any more: {', '.join(built.removed)}")


async def _leased(work: Callable[[asyncpg.Connection, Pipeline], Awaitable[T]], pipeline: Pipeline) -> T:
    async with connected(os.environ) as connection:
        return await work(connection, pipeline)


def _show(flow: OrderFlow, file: Path) -> None:
    from orderflow_analytics.orchestration.home import show  # Dagster, which no other command needs

    show(flow, file, os.environ)


def _write_sources(flow: OrderFlow) -> None:
    project = project_of(flow)
    if project is None:
        raise AnalyticsError(f"flow {flow.metadata.name} has no spec.analytics.models to write sources for")
    (project / FILE).write_text(sources(contracts_of(flow)), encoding="utf-8")


def _tell(report: Report, raw_only: list[str]) -> None:
    print(f"raw: {report.exported:,} events")
    if report.held_up:
        print(f"{HELD_UP}: {report.held_up:,} events, by a transaction of Postgres that is still open")
    for event, count in report.curated.items():
        print(f"curated {event}: {count.taken:,} taken, {count.refused:,} in quarantine, {count.repeated:,} repeated")
    if raw_only:
        print(f"in the raw zone alone, for want of a contract: {', '.join(raw_only)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
