"""The console as its pod runs it: told by the operator's own file and variables, as a role that its job has made."""

import asyncio
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from orderflow_cli.servers.ports import free_port, is_listening
from orderflow_model import environment
from orderflow_model.flow import Metadata, OrderFlow
from orderflow_model.loading.load import load_flow
from orderflow_model.postgres_uri import PostgresUri
from orderflow_model.service_part import service_config
from orderflow_model.spec.console import CONSOLE, Console
from orderflow_runtime.postgres.migration_folder import migration_folder
from orderflow_runtime.postgres.migrator import Task, carry_out
from orderflow_runtime.postgres.ownership import Role
from support.console.stand import Stand
from support.flow.cli_process import FLOW

_START_SECONDS = 30


class ConsolePod:
    """A console with a login before the flow of a stand; `given` is spec.console but for image and url."""

    def __init__(self, stand: Stand, folder: Path, port: int, given: Mapping[str, Any], env: Mapping[str, str]) -> None:
        self.url = f"http://localhost:{port}"
        self.log = folder / "console.log"
        console = Console.model_validate({"image": "i:1", "url": self.url} | dict(given))
        flow = _with(load_flow(FLOW), console)
        file, password = folder / "service.json", secrets.token_urlsafe(12)
        file.write_text(service_config(flow, CONSOLE).model_dump_json())
        with ThreadPoolExecutor(1) as thread:  # the browser's own loop runs in this one
            thread.submit(asyncio.run, _migrate(stand.flow.database_of_all(), password)).result()
        told = {
            environment.CONFIG: str(file),
            environment.DATABASE_URL: stand.flow.database_of_all().for_role("shop_console", password).render(),
            environment.KAFKA_BOOTSTRAP: stand.flow.bootstrap(),
            environment.HTTP_HOST: "127.0.0.1",
            environment.HTTP_PORT: str(port),
            environment.METRICS_PORT: str(free_port()),
        }
        paths = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]}
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "orderflow_console"]
            self._process = subprocess.Popen(command, env=paths | told | dict(env), stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        while not is_listening(port):
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, "the console does not come up"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


def _with(flow: OrderFlow, console: Console) -> OrderFlow:
    named = Metadata(name=flow.metadata.name, namespace="team-a")
    return flow.model_copy(update={"metadata": named, "spec": flow.spec.model_copy(update={"console": console})})


async def _migrate(admin: PostgresUri, password: str) -> None:
    """Do what the migration job of the console does; whose the flow is here stands in its schemas."""
    folder = migration_folder(CONSOLE, [sys.executable, "-m", "orderflow_console"], None)
    await carry_out(admin.render(), [Task(Role("shop", CONSOLE, password, "shop"), folder, console=CONSOLE)])
