"""Connecting to a real Postgres by URIs as people have them, and the one sentence where that cannot be."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from orderflow_model.postgres_uri import Host, PostgresUri
from orderflow_runtime.core.store import StoreUnavailable
from orderflow_runtime.postgres.connecting import connect
from orderflow_runtime.postgres.connection_failures import CannotConnectError
from orderflow_runtime.postgres.postgres_store import PostgresStore
from support.tools.certificates import certificates
from support.tools.pgbouncer import pooled
from support.tools.scratch import scratch_directory


def having(uri: str, **parameters: str) -> PostgresUri:
    """Give a URI with more parameters."""
    text = PostgresUri.parse(uri).render()
    return PostgresUri.parse(f"{text}?{'&'.join(f'{name}={value}' for name, value in parameters.items())}")


@asynccontextmanager
async def listener() -> AsyncIterator[tuple[Host, list[int]]]:
    """Give a server that takes connections and says nothing, and how often it was asked."""
    asked: list[int] = []

    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(1)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(ignore, "127.0.0.1", 0)
    async with server:
        yield Host("127.0.0.1", server.sockets[0].getsockname()[1]), asked


@pytest.fixture
def closed() -> Iterator[Host]:
    """A port at which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield Host("127.0.0.1", held.getsockname()[1])


@pytest.fixture
def secure(database: str) -> Iterator[tuple[str, Path]]:
    """The URI of the database behind TLS, which a pooler of sessions does, and the file of the signing authority."""
    with scratch_directory() as folder:
        folder.chmod(0o755)
        for name, text in zip(("authority", "key", "certificate"), certificates(), strict=True):
            (folder / name).write_text(text)
        tls = {"client_tls_key_file": folder / "key", "client_tls_cert_file": folder / "certificate"}
        with pooled(database, "session", {}, client_tls_sslmode="require", **tls) as uri:
            yield uri, folder / "authority"


async def test_the_system_trust_store_is_used(secure: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """sslrootcert=system trusts whom the system trusts, and nobody else; it asks for the host's name by itself."""
    server, authority = secure
    for way in ({}, {"sslmode": "verify-full"}):
        uri = having(server, sslrootcert="system", **way)
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        with pytest.raises(CannotConnectError, match=r"shows a certificate that is not trusted .* sslrootcert names"):
            await connect(uri)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        await (await connect(uri)).close()


async def test_a_named_authority_is_used(secure: tuple[str, Path], tmp_path: Path) -> None:
    """A file with the authority does as much, and one with another authority is told of."""
    server, authority = secure
    (tmp_path / "other.pem").write_text(certificates()[0])
    for mode in ("require", "verify-ca", "verify-full"):
        await (await connect(having(server, sslmode=mode, sslrootcert=str(authority)))).close()
        with pytest.raises(CannotConnectError, match="shows a certificate that is not trusted"):
            await connect(having(server, sslmode=mode, sslrootcert=str(tmp_path / "other.pem")))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password": "s3cret"}, "refuses the user or the password"),
        ({"user": "adm1n"}, "refuses the user or the password"),
        ({"dbname": "nowhere"}, "has no database nowhere"),
        ({"host": "nowhere.invalid"}, "nowhere.invalid:.* cannot be found"),
        ({"sslmode": "require"}, "has no TLS, which sslmode=require asks for"),
        ({"sslrootcert": "system"}, "has no TLS, which sslmode=verify-full asks for"),
        ({"sslmode": "verify-full", "sslrootcert": "nowhere.pem"}, "sslrootcert .* names a file that cannot be read"),
        ({"sslmode": "verify-full"}, "sslmode needs the authority"),
        ({"sslkey": "s3cret.key", "sslmode": "require"}, "sslkey .* names a file that cannot be read here"),
        ({"options": "-c%20role%3Ds3cret"}, "refuses the connection|role"),
        ({"host": "%2Fnowhere"}, "no server's socket is in this folder"),
    ],
)
async def test_what_cannot_be_reached_is_told_in_a_sentence(
    database: str, change: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One line, with the parameter or the place to look at, and nothing of who wanted to connect."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(CannotConnectError, match=words) as refused:
        await connect(having(database, **change))
    text = str(refused.value)
    assert "\n" not in text
    assert not [secret for secret in ("s3cret", "adm1n", PostgresUri.parse(database).password or "-") if secret in text]


async def test_a_closed_port_and_a_silent_one_are_two_things(closed: Host) -> None:
    """Nothing listens, or something listens and does not answer within connect_timeout."""
    with pytest.raises(CannotConnectError, match=f"{closed} cannot be reached: nothing listens there"):
        await connect(PostgresUri((closed,), "shop", {}, "u", "p"))
    async with listener() as (silent, _):
        with pytest.raises(CannotConnectError, match=f"{silent} does not answer in time"):
            await connect(PostgresUri((silent,), "shop", {"connect_timeout": "1"}, "u", "p"))


async def test_hosts_are_tried_in_turn(database: str, closed: Host) -> None:
    """Hosts that are closed or silent cost their own time and no more; where all fail, each is told of."""
    there = PostgresUri.parse(database)
    async with listener() as (silent, asked):
        hosts = (closed, silent, *there.hosts)
        quick = {"connect_timeout": "1"}
        connection = await connect(PostgresUri(hosts, there.database, quick, there.user, there.password))
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
        assert asked
        with pytest.raises(CannotConnectError, match=f"{closed} .* nothing listens.*; .*{silent} does not answer"):
            await connect(PostgresUri((closed, silent), "shop", quick, "u", "p"))


async def test_hosts_are_mixed_where_the_uri_asks_for_it(database: str) -> None:
    """load_balance_hosts=random takes the hosts in the order that chance gives."""
    there = PostgresUri.parse(database)
    async with listener() as (silent, asked):
        for balance, count in (("disable", 0), ("random", 1)):
            parameters = {"connect_timeout": "1", "load_balance_hosts": balance}
            uri = PostgresUri((*there.hosts, silent), there.database, parameters, there.user, there.password)
            await (await connect(uri, shuffle=list.reverse)).close()
            assert bool(asked) == bool(count)


async def test_a_server_that_takes_no_writes_is_passed_over(database: str) -> None:
    """Of several hosts one that can be written to is taken, and a single one is where the URI asks."""
    there = PostgresUri.parse(database)
    connection = await asyncpg.connect(database)
    await connection.execute(f'ALTER DATABASE "{there.database}" SET default_transaction_read_only = on')
    await connection.close()
    await (await connect(there)).close()
    several = PostgresUri(there.hosts * 2, there.database, {}, there.user, there.password)
    for uri in (several, having(database, target_session_attrs="read-write")):
        with pytest.raises(CannotConnectError, match="takes no writes"):
            await connect(uri)


async def test_what_the_uri_says_of_the_connection_is_done(database: str) -> None:
    """Keepalives, the application's name and the admin's own options reach the connection."""
    uri = having(
        database, keepalives_idle="77", keepalives_count="3", application_name="mine", options="-c%20work_mem%3D5MB"
    )
    connection = await connect(uri, {"search_path": "it's"})
    line = connection._transport.get_extra_info("socket")
    assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 77
    shown = [await connection.fetchval(f"SHOW {name}") for name in ("application_name", "work_mem", "search_path")]
    assert shown == ["mine", "5MB", "it's"]
    await connection.close()


async def test_a_store_says_what_is_wrong_and_what_to_do(database: str) -> None:
    """What `/readyz` of a service shows is that sentence, with the advice of its kind."""
    store = PostgresStore(having(database, password="s3cret").render(), "sample")  # noqa: S106 - a test's
    with pytest.raises(StoreUnavailable, match=r"refuses the user or the password; .* run it again"):
        await store.start()
