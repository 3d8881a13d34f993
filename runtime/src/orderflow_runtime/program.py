"""A program that handles no events, such as a source: it works, and answers for that, until it is told to end.

What it shares with a process of services, `host.py`, is which signals it heeds.
"""

import asyncio
import signal
from typing import Protocol

from prometheus_client import CollectorRegistry

from orderflow_model import environment
from orderflow_runtime.ending import Ending
from orderflow_runtime.endpoints import Endpoints, Probes
from orderflow_runtime.http_server import HttpSettings, listen, serve
from orderflow_runtime.observability import logs
from orderflow_runtime.observability.metrics_page import render


class Work(Protocol):
    """What a program does. `obstacle` is why it does nothing now, `hindrance` why a part of it waits; or nothing."""

    @property
    def obstacle(self) -> str: ...  # noqa: D102 - said above

    @property
    def hindrance(self) -> str: ...  # noqa: D102 - said above

    @property
    def registry(self) -> CollectorRegistry: ...  # noqa: D102 - what it counts

    async def run(self, ending: Ending) -> None: ...  # noqa: D102 - works until the end is due


async def run_program(name: str, work: Work, ending: Ending, http: HttpSettings, level: str) -> None:
    """Work until SIGTERM or SIGINT, with health and metrics; `level` is what SIGUSR1 goes back to.

    Raise what the work raises, or `MisconfiguredError` where a port cannot be had.
    """
    heed_signals(ending, level)
    health = {name: Probes(lambda: True, lambda: ending.obstacle or work.obstacle, lambda: work.hindrance)}

    def page(accept: str) -> tuple[bytes, str]:
        return render({name: work.registry}, accept)

    ports = {environment.HTTP_PORT: http.port, environment.METRICS_PORT: http.metrics_port}
    listeners = [listen(http.host, port, variable) for variable, port in ports.items() if port is not None]
    endpoints = Endpoints(health, page)
    serving = [asyncio.create_task(serve(endpoints, one, ending, http.keep_alive)) for one in listeners]
    try:
        await work.run(ending)
    finally:
        ending.due.set()
        await asyncio.gather(*serving)


def heed_signals(ending: Ending, level: str) -> None:
    """Have SIGTERM and SIGINT ask for the end, and SIGUSR1 switch between all of the log and `level`."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.ask)
    loop.add_signal_handler(signal.SIGUSR1, logs.switch, level)
