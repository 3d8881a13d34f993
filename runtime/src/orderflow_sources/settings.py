"""What a source is told: its queue, and the address that takes the messages. Read once, at the start."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from orderflow_runtime import MisconfiguredError, required, web_address, whole_number

_SCHEMES = ("amqp", "amqps")
_MOST_PREFETCH = 1000


@dataclass(frozen=True)
class SourceSettings:
    """`uri` may hold a password and is shown by nobody. `key_header` is None where a message's own id is its key.

    `name` stands before the keys of its messages; it is empty where an operator older than this does not tell it.
    """

    uri: str = field(repr=False)
    queue: str
    refused: str
    prefetch: int
    into: str
    key_header: str | None
    name: str = ""
    tls: ssl.SSLContext | None = None

    @classmethod
    def read(cls, env: Mapping[str, str]) -> "SourceSettings":
        """Read the environment; raise `MisconfiguredError`, which names the variable that is wrong."""
        required(env, "SOURCE_INTO")
        return cls(
            uri=_uri(env, env.get("SOURCE_URI_VARIABLE") or "SOURCE_URI"),
            queue=required(env, "SOURCE_QUEUE"),
            refused=required(env, "SOURCE_REFUSED"),
            prefetch=whole_number(env, "SOURCE_PREFETCH", 50, _MOST_PREFETCH) or 1,
            into=web_address(env, "SOURCE_INTO") or "",
            key_header=env.get("SOURCE_KEY_HEADER") or None,
            name=env.get("SOURCE_NAME", ""),
            tls=_authority(env),
        )


def _uri(env: Mapping[str, str], name: str) -> str:
    uri = required(env, name)
    try:
        parts = urlsplit(uri)
        sound = parts.scheme in _SCHEMES and parts.hostname and parts.port != 0
    except ValueError:
        sound = None
    if not sound or not uri.isprintable() or " " in uri:
        raise MisconfiguredError(f"{name} is not a URI like amqps://user:password@host:5671/vhost")
    return uri


def _authority(env: Mapping[str, str]) -> ssl.SSLContext | None:
    """Return how to know the broker by the certificate authority that is given, if one is."""
    if not (name := env.get("SOURCE_CA_VARIABLE")):
        return None
    try:
        return ssl.create_default_context(cadata=required(env, name))
    except (ssl.SSLError, ValueError):
        raise MisconfiguredError(f"{name} holds no certificate in PEM") from None
