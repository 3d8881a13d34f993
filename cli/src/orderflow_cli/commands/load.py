"""`orderflow orders load`: orders of other systems, in files, placed in bulk."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import click
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from orderflow_cli.bulk_load.loader import Pace, load
from orderflow_cli.bulk_load.mapping import OrderMapping, read_mapping
from orderflow_cli.bulk_load.progress import Journal, Progress, fingerprint, open_journal
from orderflow_cli.bulk_load.rows import LoadError, Source
from orderflow_cli.bulk_load.sources import open_source
from orderflow_cli.commands.lint import FILE
from orderflow_cli.errors import NotRunningError, StateError
from orderflow_cli.local.running_flow import find_flow
from orderflow_cli.local.state import DEFAULT_BASE
from orderflow_cli.order_client import OrderClient

_PLAIN_ORDERS = 10_000

Show = Callable[[Progress], None]


@click.command("load")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--url", help="The order service's address; else that of the flow running in this folder.")
@click.option("--mapping", type=FILE, metavar="FILE.yaml", help="How rows become orders; CSV needs one.")
@click.option("--report", type=FILE, help="Where refused rows are told of, as NDJSON.  [default: FILE.refused.ndjson]")
@click.option("--state", type=FILE, help="Where the progress is kept.  [default: FILE.progress]")
@click.option("--batch", type=click.IntRange(1, 500), default=500, show_default=True, help="Orders a request.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=2, show_default=True, help="Requests at once.")
def load_command(
    file: Path,
    url: str | None,
    mapping: Path | None,
    report: Path | None,
    state: Path | None,
    batch: int,
    concurrency: int,
) -> None:
    """Place the orders in FILE (.ndjson, .json, .csv or .parquet), each once however often it is loaded.

    Stopped by Ctrl-C or a crash, it goes on where it was when given again. Exits with 0 when all orders were accepted
    or known, 1 when some were refused (the report says which and why), 2 when it could not go on.
    """
    report = report or file.with_name(file.name + ".refused.ndjson")
    state = state or file.with_name(file.name + ".progress")
    if len({path.absolute() for path in (file, report, state)}) < 3:
        raise LoadError("the file, its report and its progress need a name each", "Give others")
    known = None if mapping is None else read_mapping(mapping)
    source = open_source(file, known)
    address = url or _running_url()
    journal = open_journal(state, report, fingerprint(file, mapping, address))
    done = _load(source, known, journal, address, Pace(batch, concurrency))
    if done.refused:
        click.echo(f"see {report}")
        raise click.exceptions.Exit(1)


def _running_url() -> str:
    try:
        return find_flow(DEFAULT_BASE).entry_url()
    except (NotRunningError, StateError) as error:
        raise LoadError("where the order service is, is not clear", f"Give --url: {error.message}") from None


def _load(source: Source, mapping: OrderMapping | None, journal: Journal, url: str, pace: Pace) -> Progress:
    if journal.progress.row:
        click.echo(f"going on after {source.unit} {journal.progress.row:,}")
    try:
        with _showing(source, journal.progress) as show:
            done = asyncio.run(_run(source, mapping, journal, url, pace, show))
    except (KeyboardInterrupt, LoadError) as stopped:
        click.echo(f"stopped after {source.unit} {journal.progress.row:,}: {_counts(journal.progress)}")
        if isinstance(stopped, LoadError):
            raise
        raise click.exceptions.Exit(130) from None
    click.echo(_counts(done))
    return done


async def _run(
    source: Source, mapping: OrderMapping | None, journal: Journal, url: str, pace: Pace, show: Show
) -> Progress:
    async with aiohttp.ClientSession() as session:
        return await load(source, mapping, OrderClient(session, url), journal, pace, show)


def _counts(progress: Progress) -> str:
    return f"{progress.accepted:,} orders accepted, {progress.known:,} known before, {progress.refused:,} refused"


@contextmanager
def _showing(source: Source, begun: Progress) -> Iterator[Show]:
    """Show a progress bar in a terminal; elsewhere a line for every ten thousand orders."""
    console = Console(markup=False)
    if not console.is_terminal:
        yield _plain(source.unit, begun)
        return
    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(_counts(begun), total=source.size, completed=begun.end)
        yield lambda progress: bar.update(task, completed=progress.end, description=_counts(progress))


def _plain(unit: str, begun: Progress) -> Show:
    told = _orders(begun) // _PLAIN_ORDERS

    def show(progress: Progress) -> None:
        nonlocal told
        if _orders(progress) // _PLAIN_ORDERS > told:
            told = _orders(progress) // _PLAIN_ORDERS
            click.echo(f"{unit} {progress.row:,}: {_counts(progress)}")

    return show


def _orders(progress: Progress) -> int:
    return progress.accepted + progress.known + progress.refused
