"""A Postgres URI means the same to everybody who reads it, and what is one's own in it is given to nobody else."""

import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderflow_model.postgres_uri import Host, InvalidUriError, PostgresUri

SECRETS = ("adm1n", "s3cret", "/keys/adm1n.key", "/keys/adm1n.crt", "unlock", "/keys/adm1n.pgpass")

_text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
_names = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,10}[a-z0-9])?", fullmatch=True)
_addresses = st.ip_addresses().map(str)
_folders = _text.map(lambda text: "/" + text.replace(",", ""))
_hosts = st.builds(Host, st.one_of(_names, _addresses, _folders), st.integers(1, 65535))
_shared = st.fixed_dictionaries(
    {},
    optional={
        "application_name": _text,
        "connect_timeout": st.integers(-1, 999).map(str),
        "target_session_attrs": st.sampled_from(["any", "primary", "read-write"]),
        "sslmode": st.sampled_from(["disable", "prefer", "require", "verify-full"]),
        "sslcrl": _text,
        "keepalives_idle": st.integers(0, 999).map(str),
    },
)
_private = st.dictionaries(st.sampled_from(["passfile", "options", "sslcert", "sslkey", "sslpassword"]), _text)
_uris = st.builds(
    PostgresUri,
    st.lists(_hosts, max_size=3).map(tuple),
    st.none() | _text,
    _shared,
    st.none() | _text,
    st.none() | _text,
    _private,
)


@given(_uris)
def test_what_is_written_is_read_again(uri: PostgresUri) -> None:
    """Any server, name and password survives being written and read, whatever signs it has."""
    assert PostgresUri.parse(uri.render()) == uri


@given(_uris)
def test_another_roles_uri_has_nothing_of_the_first(uri: PostgresUri) -> None:
    """A role's URI differs from that of nobody at the same place in role and password alone."""
    nobody = PostgresUri(uri.hosts, uri.database, uri.parameters)
    assert uri.for_role("r", "p") == nobody.for_role("r", "p")
    assert uri.place == nobody.place == nobody.render().removeprefix("postgresql://")


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://db/shop?user=adm1n&password=s3cret",
        "postgresql://adm1n:s3cret@db/shop",
        "postgresql://x:y@db/shop?user=adm1n&password=s3cret",
        "postgresql://adm1n:s3cret@db/shop?user=x&password=y",
        "postgresql://db/shop?%75ser=adm1n&p%61ssword=s3cret",
        "postgresql://db/shop?user=%61dm1n&password=%733cret",
        "postgresql://db/shop?user=x&user=adm1n&password=y&password=s3cret",
        "postgresql://db/shop?passfile=/keys/adm1n.pgpass",
        "postgresql://db/shop?sslcert=/keys/adm1n.crt&sslkey=/keys/adm1n.key&sslpassword=unlock",
        "postgresql://db/shop?options=-c%20role%3Dadm1n",
        "postgresql://db/shop?options=-crole=adm1n".replace("role=", "role%3d"),
        "postgresql:///shop?host=db&user=adm1n&password=s3cret",
    ],
)
def test_credentials_stay_with_whom_they_were_given_to(uri: str) -> None:
    """However a URI says who its user is, none of it is in a service's URI, in its place or in its repr."""
    parsed = PostgresUri.parse(uri)
    for told in (parsed.for_role("r", "p").render(), parsed.place, repr(parsed), str(parsed)):
        assert not [secret for secret in SECRETS if secret in told or quote(secret, safe="") in told]
    assert parsed.for_role("r", "p").render() == "postgresql://r:p@db:5432/shop"


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("postgresql://db/shop?USER=adm1n&PASSWORD=s3cret", "not in this spelling"),
        ("postgresql://db/shop?Password=s3cret", "not in this spelling"),
        ("postgresql://db/shop?role=adm1n", "does not know"),
        ("postgresql://db/shop?token=s3cret", "does not know"),
        ("postgresql://db/shop?service=adm1n", "service is not supported: write out"),
        ("postgresql://db/shop?scram_client_key=s3cret", "scram_client_key is not supported: use password"),
        ("postgresql://db/shop?oauth_client_secret=s3cret", "oauth_client_secret is not supported"),
        ("postgresql://db/shop?channel_binding=require", "channel_binding has a value that is not supported: leave"),
        ("postgresql://db/shop?require_auth=scram-sha-256", "require_auth is not supported"),
        ("postgresql://db/shop?gssencmode=require", "gssencmode has a value"),
        ("postgresql://db/shop?target_session_attrs=standby", "target_session_attrs .*: the platform writes"),
        ("postgresql://db/shop?sslmode=s3cret", "sslmode .*: disable, allow, prefer, require, verify-ca, verify-full"),
        ("postgresql://db/shop?connect_timeout=s3cret", "connect_timeout .*: a whole number"),
        ("postgresql://db/shop?sslrootcert=system&sslmode=require", "needs sslmode=verify-full"),
        ("postgresql://db/shop?sslnegotiation=direct", "needs sslmode=require"),
        ("postgresql://db/shop?sslmode", "character 22: a parameter is written name=value"),
        ("postgresql://db/shop?user=a=s3cret", "character 22"),
        ("postgresql://adm1n:s3cr%zzet@db/shop", "character 24: %"),
        ("postgresql://adm1n:s3cr%00et@db/shop", "character 24: %"),
        ("postgresql://adm1n:s3cret%ff@db/shop", "character 20: .*UTF-8"),
        ("postgresql://adm1n:s3cret@s3cret@db/shop", "character 33: .* write @ as %40"),
        ("postgresql://adm1n:1/s3cret@db/shop", "character 28: .* write @ as %40"),
        ("postgresql://adm1n:1/s3cret/db/shop", "character 28: .* write / as %2F"),
        ("postgresql://adm1n:s3cret/s3cret@db/shop", "port of host 1"),
        ("postgresql://adm1n:s3cret?s3cret@db/shop", "character 26: .* write . as %3F"),
        ("postgresql://adm1n:s3cret@db:s3cret/shop", "port of host 1"),
        ("postgresql://db:65536/shop", "port of host 1"),
        ("postgresql://db:0/shop", "port of host 1"),
        ("postgresql://a,,b/shop", "host 2 has no name"),
        ("postgresql://:5432/shop", "host 1 has no name"),
        ("postgresql://a,b,c:1/shop?port=1,2", "3 hosts, but 2 ports"),
        ("postgresql:///shop?port=1", "0 hosts, but 1 ports"),
        ("postgresql://::1/shop", "IPv6"),
        ("postgresql://[::1/shop", "IPv6"),
        ("postgresql://%40abstract/shop", "host 1 is neither"),
        ("postgresql://a%2Cb/shop", "host 1 is neither"),
        ("postgresql://db/sh op?password=s3cret", "character 19: white space"),
        ("host=db user=adm1n password=s3cret", "keyword/value string: write it as postgresql://"),
        ("POSTGRESQL://db/shop", "does not begin with postgresql://"),
        ("postgresql+asyncpg://adm1n:s3cret@db/shop", "does not begin with postgresql://"),
        ("mysql://adm1n:s3cret@db/shop", "does not begin with postgresql://"),
        ("s3cret", "does not begin with postgresql://"),
        ("", "does not begin with postgresql://"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(uri: str, why: str) -> None:
    """A refusal names the parameter or the place and the way round, and quotes nothing that could be a secret."""
    with pytest.raises(InvalidUriError) as refused:
        PostgresUri.parse(uri)
    assert re.search(why, str(refused.value))
    assert not [secret for secret in SECRETS if secret in str(refused.value)]


@given(st.text(max_size=60).map("postgresql://".__add__) | st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text at all ends in another error, and one that is read means the same when written again."""
    try:
        uri = PostgresUri.parse(text)
    except InvalidUriError:
        return
    assert PostgresUri.parse(uri.render()) == uri


@pytest.mark.parametrize(
    ("uri", "hosts"),
    [
        ("postgresql:///shop", ()),
        ("postgres://db/shop", (Host("db"),)),
        ("postgresql://a:1,b,[::1]:3/shop", (Host("a", 1), Host("b"), Host("::1", 3))),
        ("postgresql://[fe80::1%25eth0]/shop", (Host("fe80::1%eth0"),)),
        ("postgresql://%2Fvar%2Frun%2Fpostgresql:6432/shop", (Host("/var/run/postgresql", 6432),)),
        ("postgresql:///shop?host=/var/run/postgresql", (Host("/var/run/postgresql"),)),
        ("postgresql:///shop?host=a,b&port=1,2", (Host("a", 1), Host("b", 2))),
        ("postgresql://x:7/shop?host=a", (Host("a", 7),)),
        ("postgresql://a,b/shop?port=7", (Host("a", 7), Host("b", 7))),
        (" postgresql://db/shop\n", (Host("db"),)),
    ],
)
def test_hosts_are_read_as_libpq_reads_them(uri: str, hosts: tuple[Host, ...]) -> None:
    """Several hosts with ports, IPv6 addresses and sockets, before the path or in the query."""
    parsed = PostgresUri.parse(uri)
    assert (parsed.hosts, parsed.database) == (hosts, "shop")


def test_a_plus_is_a_plus() -> None:
    """In a Postgres URI a plus sign is itself, not a space as in a web form."""
    assert PostgresUri.parse("postgresql://db/shop?password=a+b").password == "a+b"  # noqa: S105 - a test's
