"""Starts the parts of a flow on this machine and stops them again, each as a context that `run` enters in order."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import ParamSpec, TypeVar

import aiohttp

from orderflow_cli.database import FAILURES
from orderflow_cli.errors import LaptopError, StartError, place_of
from orderflow_cli.local.console_program import CONSOLE, console_program, console_url
from orderflow_cli.local.kafka_choice import Broker, choose_broker
from orderflow_cli.local.restart_delay import RestartDelay
from orderflow_cli.local.service_programs import Backends, service_programs
from orderflow_cli.local.state import State
from orderflow_cli.local.supervisor import Program, Supervisor
from orderflow_cli.servers.ports import HOST
from orderflow_cli.servers.postgres import Postgres, create_database
from orderflow_cli.servers.server import Server
from orderflow_console.metrics.scrape import unready
from orderflow_model.flow import OrderFlow
from orderflow_model.spec.placement import Placement
from orderflow_runtime.postgres.migration_failures import MigrationFailedError
from orderflow_runtime.postgres.migrator import migrate

_READY_SECONDS = 60
_WATCH_SECONDS = 0.5

P = ParamSpec("P")
R = TypeVar("R")
Echo = Callable[[str], None]


@asynccontextmanager
async def kafka_broker(given: str | None, state: State, echo: Echo) -> AsyncIterator[Broker]:
    """Run the Kafka of this run; yield it."""
    broker = await _finished(choose_broker, given, state, echo)
    if broker.server is None:
        echo(f"Kafka: the one at {given}")
        yield broker
    else:
        async with _running(broker.server, echo):
            yield broker


@asynccontextmanager
async def database(flow: OrderFlow, state: State, echo: Echo) -> AsyncIterator[str]:
    """Run a Postgres with the flow's database, schemas and roles; yield the admin's URL of that database."""
    server = Postgres(state.folder("postgres"), state.password("admin"), state.port("postgres"))
    async with _running(server, echo):
        admin_url = server.admin_url(flow.metadata.name)
        passwords = {service.name: state.password(service.name) for service in flow.services}
        try:
            await create_database(server.admin_url(), flow.metadata.name)
            await migrate(admin_url, flow, passwords)
        except MigrationFailedError as error:
            raise StartError(f"the database cannot be made ready: {error}", "Mend it, and start again") from None
        except FAILURES as error:
            words = str(error).partition("\n")[0]
            raise StartError(f"the database cannot be made ready: {words}", f"Its log is {server.log}") from None
        echo(f"Postgres: 18, database {flow.metadata.name} on {HOST}:{server.port}, one schema and role a service")
        yield admin_url


@asynccontextmanager
async def _running(server: Server, echo: Echo) -> AsyncIterator[None]:
    """Run a server, started again when it ends by itself."""
    keeper: asyncio.Task[None] | None = None
    try:
        await _started(server)
        keeper = asyncio.create_task(_keep(server, echo))
        yield
    finally:
        if keeper is not None:
            await _cancelled(keeper)
        await asyncio.to_thread(server.stop)


async def _started(server: Server) -> None:
    """Start a server for the first time; raise `StartError` with the place where the machine does not let it."""
    try:
        await _finished(server.start)
    except OSError as error:
        raise StartError(f"{server.NAME} cannot be started: {place_of(error)}", "Mend it, and start again") from None


async def _keep(server: Server, echo: Echo) -> None:
    """Start a server again whenever it ends, each time later while it does not last."""
    loop, delay = asyncio.get_running_loop(), RestartDelay()
    started = loop.time()
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        if not server.running:
            seconds = delay.after(loop.time() - started)
            echo(f"{server.NAME} ended; starting it again in {seconds:.1f} s")
            await asyncio.sleep(seconds)
            started = loop.time()
            try:
                await _finished(server.start)
            except LaptopError as error:
                echo(f"{server.NAME} did not start: {error}")
            except OSError as error:
                echo(f"{server.NAME} did not start: {place_of(error)}")


@asynccontextmanager
async def services(
    flow: OrderFlow, placement: Placement, state: State, broker: Broker, echo: Echo
) -> AsyncIterator[Supervisor]:
    """Run the flow's processes; yield them ready for work."""
    backends = Backends(broker.bootstrap, state.port("postgres"))
    programs = service_programs(flow, placement, state, backends, os.environ)
    for program in programs:
        if program.services:
            echo(f"{program.name}: one process of {', '.join(program.services)}")
    supervisor = Supervisor(programs, echo)
    try:
        supervisor.start()
        await _until_ready(_readiness(flow, state, programs), state)
        yield supervisor
    finally:
        await asyncio.shield(supervisor.stop())


@asynccontextmanager
async def console(flow: OrderFlow, state: State, broker: Broker, admin_url: str, echo: Echo) -> AsyncIterator[None]:
    """Run the console beside the flow, which needs nothing of it and does not wait for it."""
    program = console_program(flow, state, urls(flow, state), admin_url, broker.bootstrap, os.environ)
    supervisor = Supervisor([program], echo, grace_s=5)
    announcing = asyncio.create_task(_announce(console_url(state), echo))
    try:
        supervisor.start()
        yield
    finally:
        await _cancelled(announcing)
        await asyncio.shield(supervisor.stop())


async def _announce(url: str, echo: Echo) -> None:
    """Tell where the console is once a browser finds it there."""
    async with aiohttp.ClientSession() as session:
        while await unready(session, {CONSOLE: f"{url}/static/icon.svg"}):  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(_WATCH_SECONDS)
    echo(f"console: {url}")


async def _until_ready(urls: dict[str, str], state: State) -> None:
    waiting = list(urls)
    async with aiohttp.ClientSession() as session:
        with suppress(TimeoutError):
            async with asyncio.timeout(_READY_SECONDS):
                while waiting := await unready(session, urls):  # noqa: ASYNC110 - over HTTP
                    await asyncio.sleep(0.1)
    if waiting:
        logs = ", ".join(str(state.path / "logs" / f"{name}.log") for name in waiting)
        raise StartError(f"{', '.join(waiting)} not ready in {_READY_SECONDS} s", f"See {logs}")


def _readiness(flow: OrderFlow, state: State, programs: Iterable[Program]) -> dict[str, str]:
    """Return where each service says whether it is ready, be it one of several in its process."""
    shared = {service for program in programs for service in program.services}
    return {
        service: f"{url}/readyz/{service}" if service in shared else f"{url}/readyz"
        for service, url in urls(flow, state).items()
    }


def urls(flow: OrderFlow, state: State) -> dict[str, str]:
    """Return the base URL of each service, by name."""
    return {service.name: f"http://{HOST}:{state.port(service.name)}" for service in flow.services}


async def _finished(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run blocking work in a thread and wait for its end even when cancelled, so that it can be undone after."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task])
