"""What becomes of each parameter that a Postgres URI may carry: `postgres_uri.py` asks here, and nobody else decides.

A parameter is shared (it tells how to reach the server, and every service of a flow is told it too), private (it tells
who somebody is, and stays with whoever was given the URI), or refused with the way round. What stands in no table is
refused as well, so that a new kind of credential is never passed on.
Source: PostgreSQL 18, libpq, "Parameter Key Words".
"""

import re
from collections.abc import Mapping
from typing import Final

PRIVATE: Final = frozenset({"user", "password", "passfile", "options", "sslcert", "sslkey", "sslpassword"})

STRUCTURE: Final = frozenset({"host", "port", "dbname"})
"""They say in the query what the URI's own places say before it."""

_ANY, _COUNT = r"(?s:.+)", r"[0-9]{1,9}"
_TLS_VERSION = r"TLSv1(\.[123])?"

_SHARED: Final = {
    "application_name": _ANY,
    "fallback_application_name": _ANY,
    "client_encoding": r"auto|(?i:utf-?8)",
    "connect_timeout": r"-?[0-9]{1,9}",
    "target_session_attrs": r"any|primary|read-write",
    "load_balance_hosts": r"disable|random",
    "sslmode": r"disable|allow|prefer|require|verify-ca|verify-full",
    "sslrootcert": _ANY,
    "sslcrl": _ANY,
    "sslnegotiation": r"postgres|direct",
    "sslsni": r"1",
    "sslcompression": r"0",
    "ssl_min_protocol_version": _TLS_VERSION,
    "ssl_max_protocol_version": _TLS_VERSION,
    "channel_binding": r"disable|prefer",
    "gssencmode": r"disable|prefer",
    "keepalives": r"0|1",
    "keepalives_idle": _COUNT,
    "keepalives_interval": _COUNT,
    "keepalives_count": _COUNT,
    "tcp_user_timeout": _COUNT,
    "min_protocol_version": r"3\.0",
    "max_protocol_version": r"3\.[0-9]|latest",
}

_OF_SERVER: Final = "leave it out; sslmode=verify-full makes sure of the server"
_KERBEROS: Final = "this client has no Kerberos; use a password or a client certificate"
_OAUTH: Final = "this client has no OAuth; use a password or a client certificate"

_REFUSED: Final = {
    "service": "write out what the service file says",
    "servicefile": "write out what the service file says",
    "hostaddr": "name the address as the host",
    "require_auth": _OF_SERVER,
    "requirepeer": _OF_SERVER,
    "sslcrldir": "use sslcrl with one file",
    "sslcertmode": "leave it out; a client certificate is sent where sslcert names one",
    "sslkeylogfile": "leave it out",
    "replication": "leave it out; the platform does not replicate",
    "scram_client_key": "use password",
    "scram_server_key": "use password",
    "krbsrvname": _KERBEROS,
    "gsslib": _KERBEROS,
    "gssdelegation": _KERBEROS,
    "oauth_issuer": _OAUTH,
    "oauth_client_id": _OAUTH,
    "oauth_client_secret": _OAUTH,
    "oauth_scope": _OAUTH,
    "schema": "leave it out; each service has a schema of its own",
    "currentSchema": "leave it out; each service has a schema of its own",
    "search_path": "leave it out; each service has a schema of its own",
    "pgbouncer": "leave it out, and let PgBouncer pool sessions (pool_mode=session)",
}

_WAY_ROUND: Final = {
    "channel_binding": _OF_SERVER,
    "gssencmode": "use sslmode for encryption",
    "target_session_attrs": "the platform writes: any, primary or read-write",
    "client_encoding": "the platform speaks UTF8",
}


def obstacle(name: str, value: str) -> str | None:
    """Return why a parameter cannot be as it is given, and the way round; None when it can.

    The words hold no part of the value, and of the name only where it is one of Postgres's own.
    """
    if name in _REFUSED:
        return f"parameter {name} is not supported: {_REFUSED[name]}"
    if name in PRIVATE or name in STRUCTURE:
        return None
    if name not in _SHARED:
        return "a parameter that Postgres does not know, or not in this spelling"
    if re.fullmatch(_SHARED[name], value):
        return None
    return f"parameter {name} has a value that is not supported: {_WAY_ROUND.get(name, _allowed(name))}"


def contradiction(parameters: Mapping[str, str]) -> str | None:
    """Return what two parameters ask for that cannot both be, as libpq refuses it too; None when all fit."""
    system = parameters.get("sslrootcert") == "system"
    mode = parameters.get("sslmode", "verify-full" if system else "prefer")
    if system and mode != "verify-full":
        return "sslrootcert=system needs sslmode=verify-full: anybody may have a certificate of a public authority"
    if parameters.get("sslnegotiation") == "direct" and mode not in ("require", "verify-ca", "verify-full"):
        return "sslnegotiation=direct needs sslmode=require, verify-ca or verify-full"
    return None


def _allowed(name: str) -> str:
    pattern = _SHARED[name]
    return "a whole number" if "0-9]{" in pattern else pattern.replace("|", ", ").replace("\\", "")
