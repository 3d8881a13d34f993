"""`orderflow run`: one flow, complete, on this machine, until Ctrl-C or until its orders have ended."""

import asyncio
import math
import os
import re
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import aiohttp
import asyncpg
import click
from rich.console import Console

from orderflow_cli.commands.lint import FILE, sound_flow
from orderflow_cli.database import FAILURES
from orderflow_cli.errors import CannotRunHereError
from orderflow_cli.local import live_view, stack
from orderflow_cli.local.service_programs import check_runnable
from orderflow_cli.local.state import DEFAULT_BASE, open_state
from orderflow_cli.local.supervisor import Supervisor
from orderflow_cli.shop import invariants
from orderflow_cli.shop.posting import Posted, post_orders
from orderflow_cli.shop.sample_orders import FailureRates, parse_rates, sample_orders
from orderflow_console.metrics.rates import Rates
from orderflow_console.metrics.scrape import scrape
from orderflow_model.flow import OrderFlow
from orderflow_model.postgres_uri import PostgresUri
from orderflow_model.spec.placement import Placement, PlacementMode
from orderflow_model.topics import flow_topics
from orderflow_runtime.postgres.connecting import create_pool

_ENDLESS_RATE = 20.0
_REST_SECONDS = 0.5
_SERVERS = ("kafka", "postgres")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s:/,\[\]]+):[0-9]{1,5}")


@dataclass(frozen=True)
class Load:
    """The sample orders of a run: how many (None: no end), how many a second (None: no limit), which fail."""

    orders: int | None
    rate: float | None
    rates: FailureRates


@dataclass(frozen=True)
class Parts:
    """A flow that runs: what the load, the view and the judgement work on."""

    flow: OrderFlow
    urls: dict[str, str]
    database: asyncpg.Pool
    supervisor: Supervisor
    console: Console


def failure_rates(context: click.Context, option: click.Parameter, text: str) -> FailureRates:
    """Read the option that says which orders fail."""
    try:
        return parse_rates(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _finite(context: click.Context, option: click.Parameter, value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is no number of orders a second")
    return value


def _address(context: click.Context, option: click.Parameter, text: str | None) -> str | None:
    if text is not None and not all(map(_ADDRESS.fullmatch, text.split(","))):
        raise click.BadParameter(f"{text!r} is no address of a broker, such as localhost:9092")
    return text


def _ports(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, int]:
    found = {}
    for text in texts:
        service, _, number = text.rpartition("=")
        if not (number.isascii() and number.isdecimal() and 1 <= int(number) <= 65_535):
            raise click.BadParameter(f"{text!r}: write PORT or SERVICE=PORT, with a port from 1 to 65535")
        found[service] = int(number)
    return found


@click.command()
@click.argument("file", type=FILE, metavar="FLOW.yaml")
@click.option("--orders", type=click.IntRange(min=0), help="Sample orders to place; without it they do not end.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    callback=_finite,
    help="Orders a second; without it 20, or with --orders as many as are taken.",
)
@click.option("--fail", callback=failure_rates, default="", help="Shares that fail: payment=5%,shipping=1%,unknown=1%")
@click.option("--until-done", is_flag=True, help="End when all orders ended; exit with 0 only if all invariants hold.")
@click.option("--apart", is_flag=True, help="Run each service as a process of its own, whatever the resource says.")
@click.option(
    "--port",
    "ports",
    multiple=True,
    metavar="[SERVICE=]PORT",
    callback=_ports,
    help="The port of a service, or of the one that takes orders; without it, of the last run or free.",
)
@click.option("--kafka", metavar="HOST:PORT", callback=_address, help="Use this Kafka rather than start one.")
@click.option("--state", "base", type=FILE, default=DEFAULT_BASE, show_default=True, help="Where data and logs are.")
def run(
    file: Path,
    orders: int | None,
    rate: float | None,
    fail: FailureRates,
    until_done: bool,
    apart: bool,
    ports: dict[str, int],
    kafka: str | None,
    base: Path,
) -> None:
    """Run a flow on this machine: Kafka, Postgres, its services and a load of sample orders.

    Ctrl-C stops everything; started again, it goes on where it was.

    Exits with 0 when it was stopped or, by --until-done, all invariants hold; with 1 when one does not, or when
    something keeps it from running here, which the last line names; with 2 for a wrong option; with 130 when
    --until-done was stopped before its end.
    """
    if until_done and orders is None:
        raise click.UsageError("--until-done needs --orders: without it the orders do not end")
    flow, console = sound_flow(file), Console(markup=False)
    named = _named(flow, ports)
    load = Load(orders, rate if rate is not None or orders is not None else _ENDLESS_RATE, fail)
    try:
        holds = asyncio.run(_run(flow, load, until_done, _placement(flow, apart), named, kafka, base, console))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("stopped; start it again to go on where it was")
        raise click.exceptions.Exit(130 if until_done else 0) from None
    raise click.exceptions.Exit(0 if holds else 1)


def _named(flow: OrderFlow, ports: dict[str, int]) -> dict[str, int]:
    """Return ports by what has them; raise `UsageError` for a name that nothing of the flow has."""
    named = {name or _entry(flow): port for name, port in ports.items()}
    known = [*(service.name for service in flow.services), *_SERVERS]
    if strange := [name for name in named if name not in known]:
        raise click.UsageError(f"--port: nothing here is called {strange[0]}; say one of {', '.join(known)}")
    return named


def _placement(flow: OrderFlow, apart: bool) -> Placement:
    """Return which services share a process: on one machine all of them, where nothing else is said."""
    return Placement() if apart else flow.spec.placement or Placement(mode=PlacementMode.TOGETHER)


async def _run(
    flow: OrderFlow,
    load: Load,
    until_done: bool,
    placement: Placement,
    ports: dict[str, int],
    kafka: str | None,
    base: Path,
    console: Console,
) -> bool:
    """Do everything between lint and exit code; cancelling it stops everything. Return whether all invariants hold."""
    _cancel_on_sigterm()

    def echo(line: str) -> None:
        console.print(line, soft_wrap=True, highlight=False)

    with open_state(base, flow.metadata.name) as state:
        echo(f"flow {flow.metadata.name}: {len(flow.services)} services, state and logs in {state.path}")
        check_runnable(flow, os.environ)
        for name, port in ports.items():
            state.take_port(name, port)
        async with stack.kafka_broker(kafka, state, echo) as broker, stack.database(flow, state, echo) as admin_url:
            await asyncio.to_thread(broker.make_topics, flow_topics(flow))
            state.keep_flow(flow.model_dump_json(by_alias=True, exclude_none=True))
            async with (
                stack.services(flow, placement, state, broker, echo) as supervisor,
                stack.console(flow, state, broker, admin_url, echo),
                await create_pool(PostgresUri.parse(admin_url), max_size=2) as database,
            ):
                parts = Parts(flow, stack.urls(flow, state), database, supervisor, console)
                return await _work(parts, load, until_done, f"{state.next_run()}")


def _cancel_on_sigterm() -> None:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine always runs in one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def _work(parts: Parts, load: Load, until_done: bool, seed: str) -> bool:
    """Place orders and show them; with `until_done` wait for their end, judge it and return the verdict."""
    posted, begun = Posted(), time.monotonic()
    async with aiohttp.ClientSession() as session:
        showing = asyncio.create_task(live_view.show(parts.console, SnapshotReader(parts, posted, session).read))
        posting = asyncio.create_task(_post(parts, load, seed, posted))
        ending = asyncio.create_task(_rest(parts, posted) if until_done else _forever())
        await _until(ending, showing, posting)
    took = time.monotonic() - begun
    parts.console.print(f"{posted.orders:,} orders placed, all at rest after {took:.1f} s", highlight=False)
    return await _judge(parts)


async def _until(ending: "asyncio.Task[None]", *others: "asyncio.Task[None]") -> None:
    """Wait for `ending`; whichever task fails first ends all, with its error."""
    tasks = {ending, *others}
    try:
        while not ending.done():
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in (ending, *others):
            task.cancel()
        await asyncio.wait((ending, *others))


async def _forever() -> None:
    await asyncio.Event().wait()


async def _post(parts: Parts, load: Load, seed: str, posted: Posted) -> None:
    if load.orders != 0:
        url = parts.urls[_entry(parts.flow)]
        parts.console.print(f"orders: POST {url}/orders, API in {url}/openapi.json", soft_wrap=True, highlight=False)
        await post_orders(url, islice(sample_orders(seed, load.rates), load.orders), load.rate, posted)
    posted.finished = True


def _entry(flow: OrderFlow) -> str:
    """Return the service that takes orders; raise `CannotRunHereError` where there is none."""
    if (service := flow.entry_service) is None:
        raise CannotRunHereError(
            "no service of this flow begins a saga, so it takes no orders", "Run it with --orders 0"
        )
    return service.name


async def _rest(parts: Parts, posted: Posted) -> None:
    """Wait until every order was sent and has ended and no service owes anything."""
    while not (posted.finished and await _at_rest(parts)):  # noqa: ASYNC110 - the database tells nobody
        await asyncio.sleep(_REST_SECONDS)


async def _at_rest(parts: Parts) -> bool:
    try:
        async with parts.database.acquire() as connection:
            return await invariants.at_rest(connection, parts.flow)
    except FAILURES:
        return False  # Postgres is being started again


async def _judge(parts: Parts) -> bool:
    """Print the summary; return whether all invariants hold."""
    async with parts.database.acquire() as connection:
        findings = await invariants.check(connection, parts.flow)
        letters = await invariants.dead_letters(connection, parts.flow)
    for finding in findings:
        line = live_view.verdict(finding.holds, finding.name, finding.figures)
        parts.console.print(line, soft_wrap=True, style="" if finding.holds else "bold red", highlight=False)
    for reason, count in letters.items():
        parts.console.print(f"dead letters: {count} × {reason}", soft_wrap=True, highlight=False)
    return all(finding.holds for finding in findings)


class SnapshotReader:
    """Reads the view's snapshots; while the database is away the last order states stay."""

    def __init__(self, parts: Parts, posted: Posted, session: aiohttp.ClientSession) -> None:
        self._parts, self._posted, self._session = parts, posted, session
        self._rates = Rates(parts.flow)
        self._states: dict[str, int] = {}

    async def read(self) -> live_view.Snapshot:
        """Read the services' metrics and the order table."""
        counts = await scrape(self._session, self._parts.urls)
        with suppress(*FAILURES):
            async with self._parts.database.acquire() as connection:
                self._states = await invariants.order_states(connection)
        return live_view.Snapshot(
            arrows=self._rates.arrows(counts, time.monotonic()),
            posted=self._posted.orders,
            states=self._states,
            parked=int(sum(count.parked for count in counts.values())),
            dead=int(sum(count.dead for count in counts.values())),
            restarts=self._parts.supervisor.restarts,
            unknown=[name for name in self._parts.urls if name not in counts],
        )
