"""Connects to Postgres as a URI says: the services' store, the migration and the command all come here.

`postgres_uri.py` reads the URI by libpq's rules, asyncpg speaks the protocol. What libpq does and asyncpg does not
stands between the two, here: time-outs by host, several hosts in any order, the system's trust store, keepalives.
Settings of the session are set once it stands, because poolers refuse most of them as startup parameters.
"""

import os
import random
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import asyncpg

from orderflow_model.postgres_uri import Host, PostgresUri
from orderflow_runtime.postgres.connection_failures import FAILURES, CannotConnectError, Failure, failure

_SECONDS: Final = 10
_FILES: Final = ("sslrootcert", "sslcrl", "sslcert", "sslkey")
_TLS: Final = ("sslmode", *_FILES, "sslpassword", "ssl_min_protocol_version", "ssl_max_protocol_version")
_KEEPALIVES: Final = {
    "keepalives_idle": "TCP_KEEPIDLE",
    "keepalives_interval": "TCP_KEEPINTVL",
    "keepalives_count": "TCP_KEEPCNT",
    "tcp_user_timeout": "TCP_USER_TIMEOUT",
}


async def connect(
    uri: PostgresUri,
    settings: Mapping[str, str] | None = None,
    shuffle: Callable[[list[Host]], None] = random.shuffle,
    **options: Any,
) -> asyncpg.Connection:
    """Connect to the first host that takes us, and set the session; raise `CannotConnectError` with one sentence.

    Each host gets the URI's connect_timeout, else ten seconds. `options` are asyncpg's own.
    """
    hosts = list(uri.hosts)
    if uri.parameters.get("load_balance_hosts") == "random":
        shuffle(hosts)
    failures = []
    for host in hosts or (None,):  # the client's own default
        try:
            return await _connect_to(host, uri, settings or {}, options)
        except FAILURES as error:
            failures.append(failure(error, host, uri))
            if not failures[-1].elsewhere:
                break
    raise _together(failures)


async def create_pool(
    uri: PostgresUri, settings: Mapping[str, str] | None = None, *, max_size: int, **options: Any
) -> asyncpg.Pool:
    """Return a pool of such connections, none of them open yet. A session keeps its settings from use to use."""

    async def connected(_: None, **of_pool: Any) -> asyncpg.Connection:
        return await connect(uri, settings, **of_pool, **options)

    async def kept(connection: asyncpg.Connection) -> None:
        """Leave the session as it is: asyncpg's own reset would take its settings."""

    return await asyncpg.create_pool(connect=connected, reset=kept, min_size=0, max_size=max_size)


def _together(failures: Sequence[Failure]) -> CannotConnectError:
    return CannotConnectError("; ".join(dict.fromkeys(one.words for one in failures)), failures[-1].sqlstate)


def _seconds(uri: PostgresUri) -> float | None:
    """Return for how long to try a host; a connect_timeout of 0 or less has no end, as in libpq."""
    given = float(uri.parameters.get("connect_timeout", _SECONDS))
    return given if given > 0 else None


async def _connect_to(
    host: Host | None, uri: PostgresUri, settings: Mapping[str, str], options: Mapping[str, Any]
) -> asyncpg.Connection:
    check_files(uri)
    connection = await asyncpg.connect(
        _tls_uri(uri),
        host=None if host is None else host.name,
        port=None if host is None else host.port,
        user=uri.user,
        password=uri.password,
        passfile=uri.private.get("passfile"),
        database=uri.database,
        ssl=_system_trust(uri) if uri.parameters.get("sslrootcert") == "system" else None,
        direct_tls=uri.parameters.get("sslnegotiation") == "direct",
        target_session_attrs=_role_of_server(uri),
        server_settings=_startup(uri),
        timeout=_seconds(uri),
        **options,
    )
    try:
        _keep_alive(connection, uri)
        await _set(connection, settings)
    except BaseException:
        connection.terminate()
        raise
    return connection


def _role_of_server(uri: PostgresUri) -> str:
    """Return which server to ask for: whoever connects means to write, and of several only one can be written to."""
    return uri.parameters.get("target_session_attrs", "read-write" if len(uri.hosts) > 1 else "any")


def _startup(uri: PostgresUri) -> dict[str, str]:
    given = uri.parameters
    name = given.get("application_name") or given.get("fallback_application_name") or "orderflow"
    options = uri.private.get("options")
    return {"application_name": name} | ({"options": options} if options else {})


async def _set(connection: asyncpg.Connection, settings: Mapping[str, str]) -> None:
    """Set all in one statement without parameters, which a pooler need not prepare."""
    calls = [f"set_config({_literal(name)}, {_literal(value)}, false)" for name, value in settings.items()]
    if calls:
        await connection.execute(f"SELECT {', '.join(calls)}")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def check_files(uri: PostgresUri) -> None:
    """Raise `CannotConnectError` when a file that the URI names cannot be read."""
    given = {**uri.parameters, **uri.private}
    for name in _FILES:
        if name in given and given[name] != "system" and not os.access(given[name], os.R_OK):
            raise CannotConnectError(f"{name} of the Postgres URI names a file that cannot be read here")


def _tls_uri(uri: PostgresUri) -> str | None:
    """Return the part of the URI that says how to use TLS, which asyncpg takes from a URI alone."""
    given = {name: value for name, value in {**uri.parameters, **uri.private}.items() if name in _TLS}
    if given.get("sslrootcert") == "system" or not given:
        return None
    return f"postgresql://?{urlencode(given)}"


def _system_trust(uri: PostgresUri) -> ssl.SSLContext:
    """Return a context by which only the named host is trusted, and only by the system's authorities."""
    given = {**uri.parameters, **uri.private}
    context = ssl.create_default_context()
    context.set_alpn_protocols(["postgresql"])
    if low := given.get("ssl_min_protocol_version"):
        context.minimum_version = ssl.TLSVersion[low.replace(".", "_")]
    if high := given.get("ssl_max_protocol_version"):
        context.maximum_version = ssl.TLSVersion[high.replace(".", "_")]
    if crl := given.get("sslcrl"):
        context.load_verify_locations(cafile=crl)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    if certificate := given.get("sslcert"):
        context.load_cert_chain(certificate, given.get("sslkey"), lambda: given.get("sslpassword", ""))
    return context


def _keep_alive(connection: asyncpg.Connection, uri: PostgresUri) -> None:
    """Let the system find out that the server is gone; on by default, as in libpq."""
    if uri.parameters.get("keepalives") == "0":
        return
    # asyncpg gives no public way to its socket, and uvloop's stand-in sets no options: a copy of the descriptor does
    number = connection._transport.get_extra_info("socket").fileno()
    with socket.socket(fileno=os.dup(number)) as line:
        if line.family == socket.AF_UNIX:
            return
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, option in _KEEPALIVES.items():
            if int(uri.parameters.get(name, 0)) and hasattr(socket, option):
                line.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), int(uri.parameters[name]))
