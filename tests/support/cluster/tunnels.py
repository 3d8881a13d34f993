"""Ways from the test into the cluster that are there again after whatever is behind them was killed.

`kubectl port-forward` ends with the pod it goes to, so it is started anew as long as the tunnel is wanted; each is a
child that dies with the test.
"""

import subprocess
import threading
from collections.abc import Sequence

from orderflow_cli.servers.child_process import spawn
from orderflow_cli.servers.ports import HOST, free_port, is_listening
from support.cluster.cluster import until

_PAUSE = 0.3


class Tunnel:
    """A command that is kept running, and the local port it listens on."""

    def __init__(self, command: Sequence[str], port: int) -> None:
        self.port = port
        self._command = command
        self._closing = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def open(self) -> "Tunnel":
        """Start it, and wait until it listens."""
        self._keeper.start()
        until(lambda: is_listening(self.port), f"{' '.join(self._command)} listens on {self.port}", 60, 0.1)
        return self

    def close(self) -> None:
        """End it for good."""
        self._closing.set()
        if self._process is not None:
            self._process.kill()
        self._keeper.join(10)

    def _keep(self) -> None:
        while not self._closing.is_set():
            self._process = spawn(self._command, output=subprocess.DEVNULL)
            self._process.wait()
            self._closing.wait(_PAUSE)


def api_proxy() -> Tunnel:
    """The API server over plain HTTP, which passes requests on to Services."""
    port = free_port()
    return Tunnel(["kubectl", "proxy", f"--address={HOST}", f"--port={port}"], port)


def forward(namespace: str, target: str, there: int, here: int = 0) -> Tunnel:
    """A local port that leads to a port within a pod."""
    port = here or free_port()
    command = ["kubectl", "--namespace", namespace, "port-forward", f"--address={HOST}", target, f"{port}:{there}"]
    return Tunnel(command, port)
