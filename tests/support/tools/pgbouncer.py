"""A real PgBouncer, Debian's package `pgbouncer`, between a test and its database."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from orderflow_cli.servers.child_process import spawn
from orderflow_cli.servers.ports import HOST, free_port
from orderflow_model.postgres_uri import Host, PostgresUri
from support.tools.scratch import scratch_directory

_SETTINGS = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = {host}
listen_port = {own}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = {mode}
"""


@contextmanager
def pooled(database: str, mode: str, passwords: Mapping[str, str], **settings: object) -> Iterator[str]:
    """Give the URI of the same database through a pooler, which knows its user and these others, or skip the test."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
    if program is None:
        pytest.skip("no real PgBouncer: install Debian's package pgbouncer")
    uri, own = PostgresUri.parse(database), free_port()
    users = {uri.user: uri.password, **passwords}
    with scratch_directory() as folder:
        (folder / "users.txt").write_text("".join(f'"{user}" "{password}"\n' for user, password in users.items()))
        text = _SETTINGS.format(host=HOST, port=uri.hosts[0].port, own=own, users=folder / "users.txt", mode=mode)
        text += "".join(f"{name} = {value}\n" for name, value in settings.items())
        text += "user = nobody\n" if os.geteuid() == 0 else ""  # it refuses to run as root
        (folder / "pgbouncer.ini").write_text(text)
        if os.geteuid() == 0:
            folder.chmod(0o755)
        with (folder / "log").open("ab") as log:
            process = spawn([program, str(folder / "pgbouncer.ini")], output=log, env=dict(os.environ))
        try:
            _until_it_listens(process, own, folder / "log")
            yield PostgresUri((Host(HOST, own),), uri.database, {}, uri.user, uri.password).render()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)


def _until_it_listens(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"pgbouncer does not listen:\n{log.read_text()}")
