"""The addresses that the console answers at: what a browser may call it, and where its own pages come from.

What a proxy says in X-Forwarded-* is not heard, as anybody can say it: the resource says where browsers find us.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

_HERE = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Addresses:
    """`hosts` are ours with their port, `names` at any, as a port-forward gives one; `public` is an origin."""

    hosts: frozenset[str]
    names: frozenset[str] = frozenset()
    public: str | None = None

    @classmethod
    def on_this_machine(cls, host: str, port: int) -> "Addresses":
        """Return those of a console that this machine alone reaches."""
        return cls(frozenset(f"{name}:{port}" for name in (host, "localhost")))

    @classmethod
    def in_cluster(cls, service: str, namespace: str, public: str | None) -> "Addresses":
        """Return those of a console behind a Service of this name, and behind what leads to `public`."""
        within = [service, f"{service}.{namespace}", f"{service}.{namespace}.svc"]
        hosts = {urlsplit(public).netloc} if public else set()
        return cls(frozenset(hosts), frozenset([*_HERE, *within, f"{within[-1]}.cluster.local"]), public)

    def are_ours(self, host: str) -> bool:
        """Return whether a request for this `Host` is for us."""
        return host in self.hosts or _without_port(host) in self.names

    def origin(self, host: str) -> str:
        """Return the origin of our own pages where a browser asks for this `Host`."""
        if self.public is not None and host == urlsplit(self.public).netloc:
            return self.public
        return f"http://{host}"

    def is_secure(self, host: str) -> bool:
        """Return whether a browser that asks for this `Host` does so by TLS."""
        return self.origin(host).startswith("https://")


def _without_port(host: str) -> str:
    name, separator, port = host.rpartition(":")
    return name if separator and port.isascii() and port.isdecimal() else host
