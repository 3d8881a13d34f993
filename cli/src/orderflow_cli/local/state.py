"""What `orderflow run` remembers of a flow between two starts, in `.orderflow/<flow>/`.

Ports, passwords and counters in `state.json` (mode 0600), the data of Kafka and Postgres, logs, and a pid file per
process. A lock makes two runs of one flow impossible; `orderflow kill` reads the pid files.
"""

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from unicodedata import category

from pydantic import BaseModel, Field, ValidationError

from orderflow_cli.errors import AlreadyRunningError, StateError
from orderflow_cli.servers.ports import free_port, is_free
from orderflow_model.topic_changes import Ours

DEFAULT_BASE = Path(".orderflow")
FLOW_FILE = "flow.json"


Port = Annotated[int, Field(ge=1, le=65_535)]


class TopicEntry(BaseModel):
    """What of a topic is this flow's, on a Kafka that others use too."""

    made: bool
    settings: list[str]


class StateFile(BaseModel):
    """The content of `state.json`."""

    kafka: str | None = None
    runs: int = 0
    ports: dict[str, Port] = Field(default_factory=dict)
    passwords: dict[str, str] = Field(default_factory=dict)
    topics: dict[str, TopicEntry] = Field(default_factory=dict)


class State:
    """A flow's state directory while its lock is held; every change is on disk when the method returns."""

    def __init__(self, path: Path, new_password: Callable[[], str]) -> None:
        self.path = path
        self._new_password = new_password
        self._file = path / "state.json"
        self._content = read_state_file(self._file)
        self._taken: dict[str, int] = {}

    @property
    def kafka(self) -> str | None:
        """Which Kafka the data belongs to: what `use_kafka` was last given."""
        return self._content.kafka

    def use_kafka(self, kind: str) -> None:
        """Remember the Kafka of this state; its offsets mean nothing on another one."""
        self._content.kafka = kind
        self._write()

    def topics(self) -> dict[str, Ours]:
        """Return what of each topic is ours, as far as it is remembered."""
        return {name: Ours(one.made, frozenset(one.settings)) for name, one in self._content.topics.items()}

    def remember_topics(self, ours: Mapping[str, Ours]) -> None:
        """Remember what of each topic is ours."""
        told = ((name, TopicEntry(made=one.made, settings=sorted(one.settings))) for name, one in ours.items())
        self._content.topics = dict(told)
        self._write()

    def keep_flow(self, resource: str) -> None:
        """Keep the resource that runs, as JSON: `orderflow plan` compares with it."""
        try:
            (self.path / FLOW_FILE).write_text(resource, encoding="utf-8")
        except OSError as error:
            raise StateError(f"{self.path / FLOW_FILE} cannot be written: {error.strerror}", _ANOTHER) from None

    def next_run(self) -> int:
        """Return the number of this run, from 1."""
        self._content.runs += 1
        self._write()
        return self._content.runs

    def port(self, name: str) -> int:
        """Return the port of this name in this run: that of the last run if it is free, else a new one."""
        if name not in self._taken:
            port = self._content.ports.get(name)
            self._taken[name] = port if port is not None and is_free(port) else free_port()
            self._content.ports[name] = self._taken[name]
            self._write()
        return self._taken[name]

    def take_port(self, name: str, port: int) -> None:
        """Take this port for the name, in this run and the next ones; raise `StateError` when it is not free."""
        if not is_free(port):
            raise StateError(f"port {port} for {name} is taken by another program", "Give another with --port")
        self._taken[name] = self._content.ports[name] = port
        self._write()

    def password(self, name: str) -> str:
        """Return the password of this name, drawn when first asked for."""
        if name not in self._content.passwords:
            self._content.passwords[name] = self._new_password()
            self._write()
        return self._content.passwords[name]

    def folder(self, name: str) -> Path:
        """Return a folder below the state directory, made when it is not there; raise `StateError` if it cannot be."""
        folder = self.path / name
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise StateError(f"{folder} cannot be used: {error.strerror}", _START_ANEW) from None
        return folder

    def _write(self) -> None:
        scratch = self._file.with_suffix(".new")
        try:
            scratch.touch(mode=0o600)
            scratch.write_text(self._content.model_dump_json(indent=1), encoding="utf-8")
            scratch.replace(self._file)
        except OSError as error:
            raise StateError(f"{self._file} cannot be written: {error.strerror}", _ANOTHER) from None


def read_state_file(file: Path) -> StateFile:
    """Return the content, empty when there is no file; raise `StateError` with the first place that is wrong."""
    try:
        return StateFile.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return StateFile()
    except OSError as error:
        raise StateError(f"{file} cannot be read: {error.strerror}", _START_ANEW) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise StateError(f"{file} is damaged: {place}: {first['msg']}", _START_ANEW) from None


_ANOTHER = "Give another folder with --state"
_LONGEST = 900  # Postgres takes 1,023 bytes, and has files below
_START_ANEW = "Remove the flow's state directory to start from nothing, or give another one with --state"


@contextmanager
def open_state(
    base: Path, flow: str, new_password: Callable[[], str] = lambda: secrets.token_urlsafe(24)
) -> Iterator[State]:
    """Hold a flow's state directory; raise `AlreadyRunningError` while another process does, or `StateError`."""
    path = base.absolute() / flow
    _refuse_unusable(path)
    try:
        _make(base, path)
        held = (path / "lock").open("a+", encoding="ascii")
    except OSError as error:
        raise StateError(f"{path} cannot be used: {error.strerror}", _ANOTHER) from None
    with held as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AlreadyRunningError(
                f"flow {flow} is already running here, as process {lock.read().strip()}",
                "Stop that one with Ctrl-C, or give another state directory with --state",
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield State(path, new_password)


def _refuse_unusable(path: Path) -> None:
    """Raise `StateError` for a path that some program of a run cannot take; any other letter it may have."""
    try:
        size = len(str(path).encode())
    except UnicodeEncodeError:
        raise StateError(f"the state directory {str(path)!r} is no UTF-8", _ANOTHER) from None
    if any(category(letter) == "Cc" for letter in str(path)):
        raise StateError(f"the state directory {str(path)!r} has control characters in its name", _ANOTHER)
    if size > _LONGEST:
        raise StateError(f"the state directory's path has {size} bytes, and Postgres takes {_LONGEST}", _ANOTHER)


def _make(base: Path, path: Path) -> None:
    """Make the folder; git ignores what is below, for passwords must not be committed by accident.

    A folder that was there may have a `.gitignore` of its own.
    """
    made = not base.exists()
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    ignored = base if made else path
    (ignored / ".gitignore").write_text("*\n", encoding="ascii")
