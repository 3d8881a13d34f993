"""Whose fault every error of Postgres is: of all that its client knows, and of all that its manual lists."""

import inspect

import asyncpg
import pytest
from asyncpg import exceptions

from orderflow_runtime.core.store import Conflict, StoreUnavailable
from orderflow_runtime.postgres.postgres_store import translate
from orderflow_runtime.postgres.sqlstates import CLASSES, CODES, Fault, advice, fault

KNOWN = {
    name: known
    for name, known in inspect.getmembers(exceptions, inspect.isclass)
    if issubclass(known, asyncpg.PostgresError) and known.sqlstate
}


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_every_error_of_the_client_has_been_judged(name: str) -> None:
    """None falls to the default: its class has a line, and what the store makes of it follows from that line."""
    known = KNOWN[name]
    assert known.sqlstate[:2] in CLASSES
    made = translate(known("words\nDETAIL: a row"))
    expected = {Fault.EVENT: type(None), Fault.CONFLICT: Conflict}.get(fault(known.sqlstate), StoreUnavailable)
    if known is not asyncpg.InvalidCachedStatementError:
        assert type(made) is expected
    assert "a row" not in str(made)


def test_single_codes_stand_in_classes_that_say_otherwise() -> None:
    """No line repeats its class."""
    assert {code for code, who in CODES.items() if CLASSES[code[:2]] is who} == set()


@pytest.mark.parametrize(
    ("state", "who"),
    [
        ("22P02", Fault.EVENT),  # invalid text representation
        ("22021", Fault.EVENT),  # a NUL character
        ("23505", Fault.EVENT),  # unique violation
        ("P0001", Fault.EVENT),  # raised by a trigger
        ("40001", Fault.CONFLICT),
        ("40P01", Fault.CONFLICT),
        ("55P03", Fault.PASSING),  # lock_timeout
        ("57014", Fault.PASSING),  # statement_timeout
        ("57P01", Fault.PASSING),  # shutdown
        ("25006", Fault.PASSING),  # standby
        ("25P04", Fault.PASSING),  # transaction_timeout
        ("53300", Fault.PASSING),  # too many connections
        ("28P01", Fault.LASTING),  # wrong password
        ("42501", Fault.LASTING),  # no right
        ("42P01", Fault.LASTING),  # no table
        ("3D000", Fault.LASTING),  # no database
        ("53100", Fault.LASTING),  # disk full
        ("ZZ999", Fault.EVENT),  # an extension's own
    ],
)
def test_whose_fault_it_is(state: str, who: Fault) -> None:
    """The common ones, by hand."""
    assert fault(state) is who


def test_what_lasts_comes_with_what_to_do() -> None:
    """Every lasting error says what a person can do."""
    lasting = [code for code, who in {**CLASSES, **CODES}.items() if who is Fault.LASTING]
    assert all(len(advice(code)) > 20 for code in lasting)
    said = str(translate(asyncpg.InsufficientPrivilegeError("permission denied for table inbox")))
    assert "permission denied for table inbox" in said
    assert "migration" in said


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncpg.DataError("invalid input for query argument $1"), None),
        (asyncpg.InterfaceError("the server expects 2 arguments for this query, 1 was passed"), None),
        (asyncpg.InterfaceError("cannot perform operation: another operation is in progress"), None),
        (asyncpg.InterfaceError("connection is closed"), StoreUnavailable),
        (asyncpg.InterfaceError("pool is closing"), StoreUnavailable),
        (
            asyncpg.InterfaceError("cannot fetch: connection has been released back to the pool"),
            StoreUnavailable,
        ),
        (asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"), StoreUnavailable),
        (asyncpg.InvalidCachedStatementError("cached statement plan is invalid"), StoreUnavailable),
        (asyncpg.TargetServerAttributeNotMatched("read-write"), StoreUnavailable),
        (exceptions.OutdatedSchemaCacheError("a type changed"), StoreUnavailable),
        (asyncpg.ProtocolError("?"), StoreUnavailable),
        (ConnectionResetError(), StoreUnavailable),
        (TimeoutError(), StoreUnavailable),
        (KeyError("a handler's own"), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_the_clients_own_errors_are_told_apart(error: Exception, expected: type[Exception] | None) -> None:
    """A lost connection is waited for; a call that was wrong is its caller's."""
    made = translate(error)
    assert (type(made) if made else None) is expected
