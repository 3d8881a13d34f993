"""One process and the services in it: each has its own Kafka, Postgres, worker and API, and all end together.

`app.py` makes them of the environment. One that fails ends all: the process starts anew as a whole, and each goes on
from what its database holds.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orderflow_model import environment
from orderflow_runtime.core.event_log import Consumer, LogRefuses, Producer
from orderflow_runtime.core.isolation import run_isolated
from orderflow_runtime.core.store import Store, StoreRefuses
from orderflow_runtime.dispatch.effects import Clock
from orderflow_runtime.ending import Ending
from orderflow_runtime.endpoints import Endpoints, Page, Probes
from orderflow_runtime.http_server import HttpSettings, listen, serve
from orderflow_runtime.observability import logs
from orderflow_runtime.observability.metrics_page import render
from orderflow_runtime.process import Process, until_first_failure
from orderflow_runtime.program import heed_signals
from orderflow_runtime.service import Service
from orderflow_runtime.settings import MisconfiguredError, Settings

logger = logging.getLogger(__name__)

_CLOSE_SECONDS = 5.0


@dataclass(frozen=True)
class HostedService:
    """A service of the process, and what is its own: what it is told, its Kafka, its database and where it listens."""

    service: Service
    settings: Settings
    consumer: Consumer
    producer: Producer
    store: Store
    http: HttpSettings
    stop: Callable[[], Awaitable[None]] | None = None
    """Closes what else it has: the store's connections."""

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.name


async def run(hosted: Sequence[HostedService], clock: Clock, level: str = "INFO") -> None:
    """Run services until the process is told to stop; what fails first in one of them ends all.

    `level` is what SIGUSR1 goes back to. Raise `MisconfiguredError` where it cannot listen.
    """
    ending = Ending(max(one.http.drain for one in hosted))
    heed_signals(ending, level)
    processes = {
        one.name: Process(one.service, one.settings, one.consumer, one.producer, one.store, clock) for one in hosted
    }
    health = {name: process.probes(ending) for name, process in processes.items()}

    def page(accept: str) -> tuple[bytes, str]:
        return render({name: process.registry() for name, process in processes.items()}, accept)

    serving = [*_serve_metrics(hosted, ending, page)]  # first, for it may refuse to
    work = [_run_one(one, processes[one.name], ending, health) for one in hosted]
    tasks = [*map(asyncio.create_task, [*work, *serving])]
    try:
        await until_first_failure(tasks, tasks)
    finally:
        ending.due.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run_one(one: HostedService, process: Process, ending: Ending, health: Mapping[str, Probes]) -> None:
    """Run a service and close what it has; all that it starts speaks in the log as itself."""
    logs.speaker.set(one.name)
    try:
        await process.run(one.http, ending, health)
    except (LogRefuses, StoreRefuses, MisconfiguredError) as error:
        if len(health) > 1:
            error.add_note(f"service {one.name}")
        raise
    finally:
        for stop in (one.consumer.stop, one.service.close, one.stop):
            if stop is not None:
                await _close(stop)


def _serve_metrics(
    hosted: Sequence[HostedService], ending: Ending, page: Page
) -> Iterator[Coroutine[None, None, None]]:
    """Serve the metrics of all on each port that is told for them, mostly one."""
    places = {one.http.metrics_port: one.http for one in hosted}
    for port, http in places.items():
        if port is not None:
            listener = listen(http.host, port, environment.METRICS_PORT)
            yield serve(Endpoints(None, page), listener, ending, http.keep_alive)


async def _close(stop: Callable[[], Awaitable[None]]) -> None:
    """Close, but no longer than a stop may take: a client whose broker is away waits for its answers.

    What goes wrong with it is told, and hides no reason of the end.
    """
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await run_isolated(stop)
    except TimeoutError:
        logger.warning("not closed in %.0f s; the end of the process will", _CLOSE_SECONDS)
    except Exception:
        logger.exception("not closed; the end of the process will")
