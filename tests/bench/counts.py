"""What a running flow has done so far, counted from outside so that it holds for any build: by the kernel, Postgres,
Kafka's own metrics and the services'. A reading is taken before and after each part, outside of what is timed.
"""

import asyncio
import re
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg

from orderflow_cli.servers.ports import HOST

_BATCHES = re.compile(r"^orderflow_batch_size_count(?:\{.*\})? (\S+)", re.MULTILINE)
_SOCKET = re.compile(r":(\d+) *\n.*?data_segs_in:(\d+)")
_KAFKA_REQUESTS = Path(__file__).with_name("KafkaRequests.java")
_TRANSACTIONS = "SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database"
_COUNTED_AFTER_SECONDS = 1.2
"""After so long Postgres tells of what its backends have done."""


@dataclass(frozen=True)
class Places:
    """Where to count: Kafka's process, a URL of Postgres's superuser, the services' base URLs."""

    kafka_pid: int
    postgres_url: str
    services: tuple[str, ...]


async def read(places: Places) -> dict[str, float]:
    """Return batches, transactions, fetches and produces so far, but what this machine has no means to count."""
    await asyncio.sleep(_COUNTED_AFTER_SECONDS)
    batches, transactions = await asyncio.gather(_batches(places.services), _transactions(places.postgres_url))
    kafka = await asyncio.to_thread(_kafka_requests, places.kafka_pid)
    return {"batches": batches, "transactions": transactions, **kafka}


def wakeups(pids: Iterable[int]) -> dict[str, int]:
    """Return how often threads of these processes have gone to sleep and been woken, by thread: some end meanwhile."""
    found = (status for pid in pids for status in Path(f"/proc/{pid}/task").glob("*/status"))
    return {str(status): _switches(status) for status in found}


def grown(now: Mapping[str, int], earlier: Mapping[str, int]) -> int:
    """Return by how much counts have grown; what was not there earlier counts whole, what is gone not at all."""
    return sum(max(0, count - earlier.get(name, 0)) for name, count in now.items())


def round_trips(port: int) -> dict[str, int]:
    """Return the segments with data that came in at a port of Postgres, by the other end: a statement is mostly one.

    Empty where this machine has no `ss`.
    """
    try:
        command = ["ss", "-tinH", "state", "established", "src", f"{HOST}:{port}"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {other: int(count) for other, count in _SOCKET.findall(said)}


def _switches(status: Path) -> int:
    with suppress(OSError):  # the thread has ended meanwhile
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                return int(line.split()[1])
    return 0


async def _batches(services: Iterable[str]) -> float:
    """Return the batches of all services; several that share a process may give one text."""
    async with aiohttp.ClientSession() as http:
        texts = {await _metrics(http, url) for url in services}
    return sum(float(count) for text in texts for count in _BATCHES.findall(text))


async def _metrics(http: aiohttp.ClientSession, url: str) -> str:
    with suppress(aiohttp.ClientError):  # of a part of the flow that serves none
        async with http.get(f"{url}/metrics") as answer:
            return await answer.text() if answer.status == 200 else ""
    return ""


async def _transactions(url: str) -> float:
    connection = await asyncpg.connect(url)
    try:
        return float(await connection.fetchval(_TRANSACTIONS))
    finally:
        await connection.close()


def _kafka_requests(pid: int) -> dict[str, float]:
    """Return fetches and produces as Kafka counts them; a Java without a compiler cannot ask."""
    said = subprocess.run(["java", str(_KAFKA_REQUESTS), str(pid)], capture_output=True, text=True, check=False).stdout
    by_kind = dict(line.split() for line in said.splitlines())
    names = {"fetches": "Fetch", "produces": "Produce"}
    return {name: float(by_kind[kind]) for name, kind in names.items() if kind in by_kind}
