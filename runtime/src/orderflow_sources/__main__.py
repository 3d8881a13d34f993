"""A source's process: `python -m orderflow_sources`, in a pod and on a laptop alike; `spec.sources` implies it.

It has neither Kafka nor database: what it hands on is safe with the service whose API took it.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping
from random import random

import uvloop

from orderflow_model import environment
from orderflow_runtime import MisconfiguredError, Settings
from orderflow_runtime.ending import Ending
from orderflow_runtime.endpoints import Endpoints, Probes
from orderflow_runtime.http_server import HttpSettings, listen, serve
from orderflow_runtime.observability import logs
from orderflow_runtime.observability.metrics_page import render
from orderflow_runtime.variables import one_of
from orderflow_sources.broker import NotLetInError
from orderflow_sources.front_door import FrontDoor
from orderflow_sources.measures import Measures
from orderflow_sources.settings import SourceSettings
from orderflow_sources.source import Source

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def main() -> None:
    """Run the source that the environment describes; raise `SystemExit` with 78 when that is wrong, with 77 when the
    broker does not let it in. The last line says why.
    """
    try:
        _run(os.environ)
    except MisconfiguredError as error:
        print(f"orderflow: {error}", file=sys.stderr)
        sys.exit(os.EX_CONFIG)
    except NotLetInError as error:
        print(f"orderflow: the broker does not let this source in: {error}", file=sys.stderr)
        sys.exit(os.EX_NOPERM)


def _run(env: Mapping[str, str]) -> None:
    told = Settings.read(env).config
    source, http = SourceSettings.read(env), HttpSettings.read(env)
    logs.set_up(told.flow, told.service, one_of(env, environment.LOG_LEVEL, "INFO", _LEVELS))
    uvloop.run(_serve(told.service, source, http))


async def _serve(name: str, settings: SourceSettings, http: HttpSettings) -> None:
    """Take messages, and answer for health and metrics, until SIGTERM or SIGINT."""
    ending, measures = Ending(http.drain), Measures()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.ask)
    async with FrontDoor(settings.into, settings.prefetch) as door:
        source = Source(settings, door, measures, random)
        health = {name: Probes(lambda: True, lambda: ending.obstacle or source.obstacle, lambda: source.hindrance)}

        def page(accept: str) -> tuple[bytes, str]:
            return render({name: measures.registry}, accept)

        serving = [
            asyncio.create_task(serve(Endpoints(health, page), listener, ending, http.keep_alive))
            for listener in _listeners(http)
        ]
        try:
            await source.run(ending)
        finally:
            ending.due.set()
            await asyncio.gather(*serving)


def _listeners(http: HttpSettings) -> list[socket.socket]:
    """Take the ports; raise `MisconfiguredError` where one cannot be had."""
    ports = {environment.HTTP_PORT: http.port, environment.METRICS_PORT: http.metrics_port}
    return [listen(http.host, port, variable) for variable, port in ports.items() if port is not None]


if __name__ == "__main__":
    main()
