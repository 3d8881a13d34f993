"""Rewrites the addresses in a flow's variables: hosts that are services in the cluster are loopback ports here."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from orderflow_cli.servers.ports import HOST


class Addresses:
    """`hosts` gives the port of a service by its host name; `urls` that of further addresses, as a flow writes them."""

    def __init__(self, hosts: Mapping[str, int], urls: Mapping[str, int]) -> None:
        self._ports = dict(hosts) | {urlsplit(url).hostname or url: port for url, port in urls.items()}

    def rewrite(self, value: str) -> str:
        """Return the value with its host replaced when it is a URL of a host in the flow; any other value as it is.

        `http://payment-provider:8090/v1` and `http://shop-order.prod.svc/` both name the host by its first label.
        """
        try:
            parts = urlsplit(value)
        except ValueError:  # not a URL after all
            return value
        port = self._ports.get((parts.hostname or "").partition(".")[0])
        if not parts.scheme or port is None:
            return value
        user, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{user}{at}{HOST}:{port}").geturl()
