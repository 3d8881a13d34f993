"""The lake's process: `python -m orderflow_analytics.exporter`. ORDERFLOW_CONFIG's file tells it of the flow.

It has no Kafka: what it reads stands in Postgres. It ends with 78 when it is configured wrongly, with 1 when runs fail.
"""

import asyncio
import os
import sys
import time
from collections.abc import Mapping

from orderflow_analytics.exporter.rounds import LakeFailsError, Rounds
from orderflow_model import environment
from orderflow_runtime.ending import Ending
from orderflow_runtime.http_server import HttpSettings
from orderflow_runtime.observability import logs
from orderflow_runtime.program import run_program
from orderflow_runtime.settings import MisconfiguredError, Settings, required
from orderflow_runtime.variables import log_level


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
    level = log_level(env)
    logs.set_up(told.flow, told.service, level)
    rounds = Rounds(env, told.lake.schedule, time.time)
    asyncio.run(run_program(told.service, rounds, Ending(), http, level))  # without a drain: nobody sends it requests


if __name__ == "__main__":
    main()
