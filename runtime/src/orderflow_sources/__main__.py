"""A source's process: `python -m orderflow_sources`, in a pod and on a laptop alike; `spec.sources` implies it.

It has neither Kafka nor database: what it hands on is safe with the service whose API took it.
"""

import os
import sys
from collections.abc import Mapping
from random import random

import uvloop

from orderflow_runtime import MisconfiguredError, Settings
from orderflow_runtime.ending import Ending
from orderflow_runtime.http_server import HttpSettings
from orderflow_runtime.observability import logs
from orderflow_runtime.program import run_program
from orderflow_runtime.variables import log_level
from orderflow_sources.broker import NotLetInError
from orderflow_sources.front_door import FrontDoor
from orderflow_sources.measures import Measures
from orderflow_sources.settings import SourceSettings
from orderflow_sources.source import Source


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
    source, http, level = SourceSettings.read(env), HttpSettings.read(env), log_level(env)
    logs.set_up(told.flow, told.service, level)
    uvloop.run(_take(told.service, source, http, level))


async def _take(name: str, settings: SourceSettings, http: HttpSettings, level: str) -> None:
    async with FrontDoor(settings.into, settings.prefetch) as door:
        source = Source(settings, door, Measures(), random)
        await run_program(name, source, Ending(http.drain), http, level)


if __name__ == "__main__":
    main()
