"""Toxiproxy between a program and what it talks to: connections that are refused, slow or cut, as a test wants them."""

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

from orderflow_cli.servers.ports import free_port
from support.tools.go_tools import go_program


def toxiproxy_program() -> Path:
    """The server's program, compiled when it is not cached."""
    return go_program("toxiproxy", "github.com/Shopify/toxiproxy/v2/cmd/server")


@dataclass(frozen=True)
class Proxy:
    """One proxy; `port` is where it listens on loopback."""

    api: str
    name: str
    port: int

    def refuse(self) -> None:
        """Close all connections, and take none."""
        _ask("POST", f"{self.api}/proxies/{self.name}", {"enabled": False})

    def spoil(self, kind: str, **attributes: int) -> None:
        """Let what comes back suffer from a toxic, by toxiproxy's names: latency, bandwidth, limit_data, reset_peer."""
        _ask("POST", f"{self.api}/proxies/{self.name}/toxics", {"type": kind, "attributes": attributes})

    def heal(self) -> None:
        """Let everything through again."""
        _ask("POST", f"{self.api}/reset", {})


@contextmanager
def toxiproxy(**upstreams: str) -> Iterator[dict[str, Proxy]]:
    """Run a proxy before each of these addresses, HOST:PORT."""
    port = free_port()
    api = f"http://127.0.0.1:{port}"
    command = [toxiproxy_program(), "-host", "127.0.0.1", "-port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _until_it_answers(api)
            yield {name: _proxy(api, name, upstream) for name, upstream in upstreams.items()}
        finally:
            server.kill()


def _proxy(api: str, name: str, upstream: str) -> Proxy:
    made = _ask("POST", f"{api}/proxies", {"name": name, "listen": "127.0.0.1:0", "upstream": upstream})
    return Proxy(api, name, int(made["listen"].rpartition(":")[2]))


def _until_it_answers(api: str) -> None:
    ends = time.monotonic() + 20
    while True:
        try:
            _ask("GET", f"{api}/version", None)
            return
        except URLError:
            assert time.monotonic() < ends, "toxiproxy does not answer"
            time.sleep(0.05)


def _ask(method: str, url: str, body: Any) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, method=method), timeout=10) as answer:  # noqa: S310 - loopback
        text = answer.read()
    return json.loads(text) if text.startswith(b"{") else {}
