"""Why Postgres could not be reached, in one sentence that a person can act on; `connecting.py` asks.

The sentence names host, port and database, and never who wanted to connect: it goes to logs, probes and the flow's
status.
"""

import re
import socket
import ssl
from dataclasses import dataclass

import asyncpg

from orderflow_model.postgres_uri import Host, PostgresUri

CLIENT_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""All of asyncpg's families of errors: the server's, of how it was called, and of what it was sent."""
FAILURES = (OSError, *CLIENT_FAILURES, KeyError)
"""What connecting may end with. KeyError: the URI names no user, and the machine knows none by its number."""


class CannotConnectError(ConnectionError):
    """No server takes the connection; the message says why, `sqlstate` is the server's own code where it has one."""

    def __init__(self, words: str, sqlstate: str = "") -> None:
        super().__init__(words)
        self.sqlstate = sqlstate


@dataclass(frozen=True)
class Failure:
    """One host's; `elsewhere` where another host may do better."""

    words: str
    sqlstate: str = ""
    elsewhere: bool = False


def failure(error: BaseException, host: Host | None, uri: PostgresUri) -> Failure:
    """Return what an error of asyncpg, of the system or of TLS means for the person who wrote the URI."""
    at = f"Postgres at {host or 'its default place'}"
    if isinstance(error, CannotConnectError):
        return Failure(str(error), error.sqlstate)
    if isinstance(error, asyncpg.PostgresError):
        return _refusal(error, at, uri)
    if isinstance(error, OSError):
        return Failure(_unreachable(error, at, host, uri), elsewhere=not isinstance(error, ssl.SSLError))
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return Failure(f"{at} takes no writes: it is a standby or read-only", elsewhere=True)
    if isinstance(error, KeyError):
        return Failure("the Postgres URI names no user, and this machine has no name for the one that runs this")
    if "root certificate file" in str(error):
        return Failure("sslmode needs the authority that signs the server's certificate: sslrootcert, a file or system")
    return Failure(f"{at}: {without_identity(str(error), uri)}")


def _refusal(error: asyncpg.PostgresError, at: str, uri: PostgresUri) -> Failure:
    state = error.sqlstate or ""
    match state:
        case "28P01":
            words = f"{at} refuses the user or the password"
        case "28000":
            words = f"{at} lets this user not in from here, or not without TLS or a certificate (its pg_hba.conf)"
        case "3D000":
            words = f"{at} has no database {uri.database}" if uri.database else f"{at} has no such database"
        case "57P03":
            words = f"{at} is starting or stopping"
        case "53300":
            words = f"{at} has no connection left"
        case _:
            words = f"{at} refuses the connection: {without_identity(str(error), uri)}"
    return Failure(words, state, elsewhere=state == "57P03")


def _unreachable(error: OSError, at: str, host: Host | None, uri: PostgresUri) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"{at} shows a certificate that is not trusted ({error.verify_message.rstrip('.')}): "
            "sslrootcert names the authority that signed it, a file or system, and the host must be in it"
        )
    if isinstance(error, ssl.SSLError):
        return f"TLS with {at} fails: {error.reason or 'the connection ended'}"
    if isinstance(error, TimeoutError):
        return f"{at} does not answer in time"
    if isinstance(error, socket.gaierror):
        return f"{at} cannot be found: no such host is known here"
    if "rejected SSL" in str(error):
        return f"{at} has no TLS, which sslmode={uri.parameters.get('sslmode', 'verify-full')} asks for"
    if host is not None and host.is_socket:
        return f"{at} cannot be reached: no server's socket is in this folder, or this user may not use it"
    if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
        return f"{at} cannot be reached: nothing listens there"
    return f"{at} cannot be reached: {without_identity(error.strerror or str(error), uri)}"


def without_identity(text: str, uri: PostgresUri) -> str:
    """Return a server's words in one line, without the URI's user and other credentials."""
    private = (word for value in uri.private.values() for word in re.split(r"[\s=]+", value))
    for who in (uri.password, uri.user, *uri.private.values(), *private):
        if who:
            text = re.sub(rf"(?<!\w){re.escape(who)}(?!\w)", "…", text)
    return " ".join(text.partition("\nDETAIL:")[0].split()).rstrip(".")
