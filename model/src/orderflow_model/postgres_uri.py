"""A Postgres connection URI, read and written: the operator, the command, the migration and the services all come here.

The grammar is libpq's: `postgresql://[user[:password]@][host[:port],...][/database][?name=value&...]`, every part
percent-encoded. Two readers of one URI must never see two things in it, so what programs read differently (a bare @ or
/ in a password) is refused. No error holds a piece of the text: with a misplaced sign any piece may be the password's.
Source: PostgreSQL 18, "libpq - Connection URIs".
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from orderflow_model.postgres_parameters import PRIVATE, STRUCTURE, contradiction, obstacle

PORT = 5432

_SCHEME = re.compile(r"postgres(ql)?://")
_ESCAPE = re.compile(r"%(?P<digits>[0-9A-Fa-f]{2})?")
_NAME = re.compile(r"/[^,]*|[\w.-]+|[0-9A-Fa-f:.]+(%[\w.-]+)?")
_BRACKETED = re.compile(r"\[(?P<name>[^\[\]]+)\](?::(?P<port>.*))?")


class InvalidUriError(ValueError):
    """The text is no Postgres URI that can be used; the message says where and why, and quotes nothing of it."""


@dataclass(frozen=True)
class Host:
    """A server: a host's name or address, or the folder of a Unix socket, which begins with a slash."""

    name: str
    port: int = PORT

    @property
    def is_socket(self) -> bool:
        """Return whether it can be reached on its own machine alone."""
        return self.name.startswith("/")

    def __str__(self) -> str:
        if ":" in self.name and not self.is_socket:
            return f"[{quote(self.name, safe=':')}]:{self.port}"
        return f"{quote(self.name, safe='')}:{self.port}"


@dataclass(frozen=True)
class PostgresUri:
    """Where a database is, how to reach it, and as whom.

    `parameters` may be known to everybody who uses the database; `user`, `password` and `private` are of one of them.
    Without hosts, user, password or database the client takes its usual defaults.
    """

    hosts: tuple[Host, ...]
    database: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    private: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, text: str) -> "PostgresUri":
        """Return what a text says; raise `InvalidUriError`. White space around it is left out."""
        return _parse(text.strip())

    def for_role(self, role: str, password: str) -> "PostgresUri":
        """Return the same database for somebody else: nothing of who this one is goes along."""
        return PostgresUri(self.hosts, self.database, self.parameters, role, password)

    def with_database(self, name: str) -> "PostgresUri":
        """Return another database of the same servers, as the same user."""
        return replace(self, database=name)

    def render(self) -> str:
        """Return the URI's text, credentials and all: `parse` reads the same from it."""
        who = "" if self.user is None else quote(self.user, safe="")
        if self.password is not None:
            who += f":{quote(self.password, safe='')}"
        query = _query({**self.parameters, **self.private})
        return f"postgresql://{who}{'@' if who else ''}{self._location()}{query}"

    @property
    def place(self) -> str:
        """Return where it points, for people and for telling one database from another: it holds no credentials."""
        return f"{self._location()}{_query(self.parameters)}"

    def _location(self) -> str:
        path = "" if self.database is None else f"/{quote(self.database, safe='')}"
        return f"{','.join(map(str, self.hosts))}{path}"


def _query(parameters: Mapping[str, str]) -> str:
    pairs = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
    return f"?{pairs}" if pairs else ""


def _parse(text: str) -> PostgresUri:
    _refuse_other_forms(text)
    start = text.index("://") + 3
    authority = text[start:].partition("/")[0]
    at = authority.find("@")
    if "?" in authority[: max(at, 0)]:
        raise InvalidUriError(f"character {start + authority.index('?') + 1}: in a user or password write ? as %3F")
    end = start + at + 1 if at >= 0 else start
    location, mark, query = text[end:].partition("?")
    user, password = _user(authority[: max(at, 0)], start)
    given = dict(_parameters(query, end + len(location) + len(mark)))
    if wrong := contradiction(given):
        raise InvalidUriError(wrong)
    named, _, path = location.partition("/")
    names, ports = _host_list(named, end)
    return PostgresUri(
        hosts=_hosts(names, ports, given),
        database=given.get("dbname") or _database(path, end + len(named) + 1),
        parameters={name: value for name, value in given.items() if name not in PRIVATE | STRUCTURE},
        user=given.get("user") or user,
        password=given.get("password") or password,
        private={name: given[name] for name in given if name in PRIVATE - {"user", "password"}},
    )


def _refuse_other_forms(text: str) -> None:
    if not _SCHEME.match(text):
        if "=" in text and "://" not in text:
            raise InvalidUriError("a keyword/value string: write it as postgresql://user:password@host/database")
        raise InvalidUriError("does not begin with postgresql:// or postgres://")
    if bad := re.search(r"[\s\x00-\x1f\x7f]", text):
        place = bad.start() + 1
        raise InvalidUriError(f"character {place}: white space and control characters are written as %20, %0A …")


def _user(text: str, at: int) -> tuple[str | None, str | None]:
    user, _, password = text.partition(":")
    return _decoded(user, at) or None, _decoded(password, at + len(user) + 1) or None


def _database(path: str, at: int) -> str | None:
    for sign, code in (("@", "%40"), ("/", "%2F")):
        if sign in path:
            place = at + path.index(sign) + 1
            raise InvalidUriError(f"character {place}: in a user, password or database's name write {sign} as {code}")
    return _decoded(path, at) or None


def _host_list(text: str, at: int) -> tuple[list[str], list[str]]:
    """Return names and ports as they are written before the path, each list empty where none are."""
    names, ports = [], []
    for spec in text.split(",") if text else ():
        if "@" in spec:
            raise InvalidUriError(f"character {at + spec.index('@') + 1}: in a user or password write @ as %40")
        bracketed = _BRACKETED.fullmatch(spec)
        name, port = (bracketed["name"], bracketed["port"] or "") if bracketed else _name_and_port(spec, at)
        names.append(_decoded(name, at))
        ports.append(_decoded(port, at))
        at += len(spec) + 1
    return names, ports


def _name_and_port(spec: str, at: int) -> tuple[str, str]:
    name, _, port = spec.partition(":")
    if "[" in spec or "]" in spec or ":" in port:
        raise InvalidUriError(
            f"character {at + 1}: write an IPv6 address as [::1]:5432, and : in a user or password as %3A"
        )
    return name, port


def _hosts(names: list[str], ports: list[str], given: Mapping[str, str]) -> tuple[Host, ...]:
    """Return the servers; the query's `host` and `port` stand over those before the path."""
    names = given["host"].split(",") if "host" in given else names
    ports = given["port"].split(",") if "port" in given else ports or [""]
    if len(ports) == 1 and names:
        ports = ports * len(names)
    if len(ports) != len(names) and (names or ports != [""]):
        raise InvalidUriError(f"{len(names)} hosts, but {len(ports)} ports: give each its own, or all of them one")
    return tuple(_host(name, port, number) for number, (name, port) in enumerate(zip(names, ports, strict=False), 1))


def _host(name: str, port: str, number: int) -> Host:
    if not name:
        raise InvalidUriError(f"host {number} has no name")
    if not (_NAME.fullmatch(name) and _can_be_looked_up(name)):
        raise InvalidUriError(f"host {number} is neither a host's name or address nor the folder of a Unix socket")
    if port and not (re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536):
        raise InvalidUriError(
            f"the port of host {number} is not a number from 1 to 65535; in a user or password : / @ are %3A %2F %40"
        )
    return Host(name, int(port or PORT))


def _can_be_looked_up(name: str) -> bool:
    """Return whether a host's name has no label that is empty or too long, for which there is no question of DNS."""
    try:
        return name.startswith("/") or bool(name.encode("idna"))
    except UnicodeError:
        return False


def _parameters(query: str, at: int) -> Iterator[tuple[str, str]]:
    """Yield names and values, decoded; a name that comes twice counts the last time, an empty value not at all."""
    for pair in query.split("&") if query else ():
        name, equals, value = pair.partition("=")
        if not equals or "=" in value:
            raise InvalidUriError(f"character {at + 1}: a parameter is written name=value, and = in a value as %3D")
        name, value = _decoded(name, at), _decoded(value, at + len(name) + 1)
        if (name, value) == ("ssl", "true"):
            name, value = "sslmode", "require"
        if value and (wrong := obstacle(name, value)):
            raise InvalidUriError(f"character {at + 1}: {wrong}")
        if value:
            yield name, value
        at += len(pair) + 1


def _decoded(text: str, at: int) -> str:
    """Return a part with its escapes undone; `at` is where it begins in the whole."""
    for escape in _ESCAPE.finditer(text):
        if escape["digits"] in (None, "00"):
            raise InvalidUriError(f"character {at + escape.start() + 1}: % begins no character's code; % itself is %25")
    try:
        raw = _ESCAPE.sub(lambda escape: chr(int(escape["digits"], 16)), text.encode().decode("latin-1"))
        return raw.encode("latin-1").decode()
    except UnicodeDecodeError:
        raise InvalidUriError(f"character {at + 1}: the codes from here are not UTF-8") from None
