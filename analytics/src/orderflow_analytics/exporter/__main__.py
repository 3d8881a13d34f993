"""The lake's process: `python -m orderflow_analytics.exporter`. ORDERFLOW_CONFIG's file tells it of the flow.

It has no Kafka: what it reads stands in Postgres. It ends with 78 when it is configured wrongly, with 1 when runs fail.
"""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping

from orderflow_analytics.exporter.rounds import LakeFailsError, Rounds
from orderflow_model import environment
from orderflow_runtime.ending import Ending
from orderflow_runtime.endpoints import Endpoints, Probes
from orderflow_runtime.http_server import HttpSettings, listen, serve
from orderflow_runtime.observability import logs
from orderflow_runtime.observability.metrics_page import render
from orderflow_runtime.settings import MisconfiguredError, Settings, required
from orderflow_runtime.variables import one_of

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def main() -> None:
    """Keep the lake up to what is stored until SIGTERM or SIGINT; raise `SystemExit`, whose reason is the last line."""
    try:
        _run(os.environ)
    except MisconfiguredError as error:
        print(f"orderflow: {error}", file=sys.stderr)
        sys.exit(os.EX_CONFIG)
    except LakeFailsError as error:
        print(f"orderflow: the lake cannot be brought up to what is stored: {error}", file=sys.stderr)
        sys.exit(1)


def _run(env: Mapping[str, str]) -> None:
    told, http = Settings.read(env).config, HttpSettings.read(env)
    required(env, environment.DATABASE_URL)
    if told.lake is None:
        raise MisconfiguredError(f"{environment.CONFIG} is that of service {told.service}, which fills no lake")
    logs.set_up(told.flow, told.service, one_of(env, environment.LOG_LEVEL, "INFO", _LEVELS))
    asyncio.run(_serve(told.service, Rounds(env, told.lake.schedule, time.time), http))


async def _serve(name: str, rounds: Rounds, http: HttpSettings) -> None:
    ending = Ending()  # nobody sends it requests
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.ask)
    health = {name: Probes(lambda: True, lambda: ending.obstacle or rounds.obstacle, lambda: "")}

    def page(accept: str) -> tuple[bytes, str]:
        return render({name: rounds.registry}, accept)

    serving = [
        asyncio.create_task(serve(Endpoints(health, page), listener, ending, http.keep_alive))
        for listener in _listeners(http)
    ]
    try:
        await rounds.run(ending)
    finally:
        ending.due.set()
        await asyncio.gather(*serving)


def _listeners(http: HttpSettings) -> list[socket.socket]:
    """Take the ports; raise `MisconfiguredError` where one cannot be had."""
    ports = {environment.HTTP_PORT: http.port, environment.METRICS_PORT: http.metrics_port}
    return [listen(http.host, port, variable) for variable, port in ports.items() if port is not None]


if __name__ == "__main__":
    main()
