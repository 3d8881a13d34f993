"""The console of a run, as a program for the supervisor: told as services are, by a file and its environment.

It reads the whole flow, so it is given the superuser's address; it listens on this machine alone.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from orderflow_cli.errors import StateError
from orderflow_cli.local.service_programs import machine_environment
from orderflow_cli.local.state import State
from orderflow_cli.local.supervisor import Program
from orderflow_cli.servers.ports import HOST
from orderflow_console.settings import ConsoleConfig
from orderflow_model import environment
from orderflow_model.flow import OrderFlow

CONSOLE = "orderflow_console"
"""No service can be called so."""
_COMMAND = (sys.executable, "-c", "from orderflow_cli.main import main; main()")


def console_program(
    flow: OrderFlow, state: State, urls: Mapping[str, str], admin_url: str, bootstrap: str, shell: Mapping[str, str]
) -> Program:
    """Return the program, its file written; raise `StateError` where it cannot be."""
    config = ConsoleConfig(flow=flow, urls=dict(urls), state=state.path.parent, command=_COMMAND)
    file = state.folder("config") / f"{CONSOLE}.json"
    _write(file, config)
    own = {
        environment.CONFIG: str(file),
        environment.DATABASE_URL: admin_url,
        environment.KAFKA_BOOTSTRAP: bootstrap,
        environment.HTTP_HOST: HOST,
        environment.HTTP_PORT: str(state.port(CONSOLE)),
    }
    log, pids = state.folder("logs") / f"{CONSOLE}.log", state.folder("pids")
    return Program(CONSOLE, [sys.executable, "-m", "orderflow_console"], machine_environment(shell) | own, log, pids)


def console_url(state: State) -> str:
    """Return where a browser finds the console."""
    return f"http://{HOST}:{state.port(CONSOLE)}"


def _write(file: Path, config: ConsoleConfig) -> None:
    try:
        file.write_text(config.model_dump_json(indent=1), encoding="utf-8")
    except OSError as error:
        raise StateError(f"{file} cannot be written: {error.strerror}", "Give another folder with --state") from None
