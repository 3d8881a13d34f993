"""A running flow with its console, as tests of the console work on it from outside."""

import asyncio
import http.client
import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from confluent_kafka import Producer

from orderflow_cli.local.running_flow import RunningFlow, find_flow
from orderflow_cli.servers.child_process import alive
from orderflow_cli.servers.ports import is_listening
from support.flow.cli_process import OrderFlowProcess

SCREENSHOTS = Path("artifacts/console")
CONSOLE = "orderflow_console"
_PATIENCE_SECONDS = 30
MARKUP = "<img src=x onerror=document.title='taken'>"


class Stand:
    """A running flow, the address of its console, and what tests do to it from outside."""

    def __init__(self, process: OrderFlowProcess, state: Path) -> None:
        self.process = process
        self.state = state
        """The folder of runs."""
        self.url = next(line for line in process.output.splitlines() if line.startswith("console: ")).split()[1]

    @property
    def flow(self) -> RunningFlow:
        """Where the flow's parts are."""
        return find_flow(self.state)

    def place(self, **changes: Any) -> str:
        """Place an order; give its id."""
        order = {
            "idempotencyKey": str(uuid.uuid4()),
            "customer": {"id": "c1", "email": "ada@example.com", "name": "Ada"},
            "lines": [{"sku": "SKU-0001", "quantity": 1, "unitPrice": 599}],
            "currency": "EUR",
            "payment": {"token": "tok_visa"},
            "shipTo": {"name": "Ada", "street": "Mill Lane 1", "city": "Gent", "postcode": "9000", "country": "BE"},
            "allowPartial": False,
        } | changes
        place = urlsplit(self.flow.url("order"))
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
        connection.request("POST", "/orders/batch", json.dumps([order]), {"content-type": "application/json"})
        result = json.load(connection.getresponse())["results"][0]
        assert result["status"] == 201, result
        return str(result["id"])

    def poison(self, topic: str, key: str, data: Any) -> None:
        """Publish a record that is no event: each service that hears the topic gives it up at once."""
        producer = Producer({"bootstrap.servers": self.flow.bootstrap(), "acks": "all"})
        producer.produce(f"shop.{topic}", json.dumps(data).encode(), key.encode(), headers=[("note", MARKUP)])
        assert producer.flush(30) == 0

    def pid(self, name: str) -> int:
        """The process of this name, as soon as it runs."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (pid := alive(self.state / "shop" / "pids" / name)) is None:
            assert time.monotonic() < deadline, f"{name} does not run"
            time.sleep(0.1)
        return pid

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Stop a process in its tracks for a while."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def restart_console(self) -> None:
        """Kill the console, and wait for the next one."""
        os.kill(self.pid(CONSOLE), signal.SIGKILL)
        while is_listening(urlsplit(self.url).port or 0):
            time.sleep(0.01)
        self.until_console_answers()

    def until_console_answers(self) -> None:
        """Wait until pages can be loaded."""
        place = urlsplit(self.url)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not is_listening(place.port or 0):
            assert time.monotonic() < deadline, "the console does not come back"
            time.sleep(0.1)

    def eventually(self, query: str, *values: object) -> Any:
        """Give the first value that a query of the flow's database has, as soon as it has one."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        with ThreadPoolExecutor(1) as thread:  # the browser's own loop runs in this one
            while (value := thread.submit(asyncio.run, self._value(query, values)).result()) is None:
                assert time.monotonic() < deadline, f"still nothing: {query}"
                time.sleep(0.1)
        return value

    async def _value(self, query: str, values: tuple[object, ...]) -> Any:
        connection = await asyncpg.connect(self.flow.database_of_all().render())
        try:
            return await connection.fetchval(query, *values)
        finally:
            await connection.close()
