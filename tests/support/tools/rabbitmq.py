"""A real RabbitMQ, Debian's package `rabbitmq-server`, with a port mapper of Erlang's of its own."""

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from orderflow_cli.servers.child_process import kill_tree, spawn, wait_until
from orderflow_cli.servers.ports import HOST, free_port
from support.tools.certificates import certificates
from support.tools.names import unique_name

_HOMES = Path("/usr/lib/rabbitmq/lib")
_CONFIG = """
listeners.tcp.default = {host}:{port}
listeners.ssl.default = {host}:{tls}
ssl_options.certfile = {folder}/tls.crt
ssl_options.keyfile = {folder}/tls.key
ssl_options.verify = verify_none
loopback_users = none
log.console = true
log.file = false
"""
_ARGUMENTS = "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none"


class RabbitMQ:
    """A broker below a folder, whose data outlive `kill` and `start`; `authority` signs what it is at `secure_uri`."""

    def __init__(self, folder: Path) -> None:
        self.port, tls = free_port(), free_port()
        self.uri = f"amqp://guest:guest@{HOST}:{self.port}/"
        self.secure_uri = f"amqps://guest:guest@{HOST}:{tls}/"
        self.authority, key, certificate = certificates()
        self._program = _find_program()
        self._mapper = free_port()
        self._folder, self._log = folder, folder / "log"
        self._name = f"{unique_name('r')}@localhost"
        folder.mkdir(exist_ok=True)
        (folder / "tls.key").write_text(key)
        (folder / "tls.crt").write_text(certificate)
        (folder / "rabbitmq.conf").write_text(_CONFIG.format(host=HOST, port=self.port, tls=tls, folder=folder))
        (folder / "plugins").write_text("[].\n")
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start it and wait until it listens, with what it held before."""
        with self._log.open("ab") as log:
            mapper = ["epmd", "-address", HOST, "-port", str(self._mapper)]
            self._processes = [spawn(mapper, output=log), spawn([str(self._program)], output=log, env=self._env())]
        wait_until(self._listens, self._processes[1], "RabbitMQ", self._log, 60)

    def kill(self) -> None:
        """SIGKILL it."""
        for process in reversed(self._processes):
            kill_tree(process.pid)
            process.wait()
        self._processes = []

    def freeze(self) -> None:
        """Let it answer nothing until `thaw`."""
        self._processes[1].send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._processes[1].send_signal(signal.SIGCONT)

    def _env(self) -> dict[str, str]:
        folder = str(self._folder)
        return dict(os.environ) | {
            "HOME": folder,  # of the cookie
            "RUNNING_UNDER_SYSTEMD": "true",  # its script becomes the broker, which so dies with the test
            "ERL_EPMD_PORT": str(self._mapper),
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": folder,
            "RABBITMQ_LOG_BASE": folder,
            "RABBITMQ_PID_FILE": str(self._folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ARGUMENTS,
        }

    def _listens(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), timeout=1).close()
        except OSError:
            return False
        return True


def _find_program() -> Path:
    """Return RabbitMQ's own start, which asks for no user of the package's, or skip the test."""
    found = sorted(_HOMES.glob("rabbitmq_server-*/sbin/rabbitmq-server"))
    if not found or shutil.which("epmd") is None:
        pytest.skip("no real RabbitMQ: install Debian's package rabbitmq-server")
    return found[-1]
