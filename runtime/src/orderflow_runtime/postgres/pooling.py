"""Finds out whether a pooler lends sessions for one transaction at a time; store and migration ask when they start.

A service keeps things in its session: `search_path` and time-outs, prepared statements, and, where it only publishes,
advisory locks. A pooler in transaction mode (PgBouncer's, RDS Proxy's or Supavisor's) gives the session to somebody
else after each transaction: the service would read another service's tables, and two would hold one lock.
"""

import asyncpg

_WHO = "SELECT pg_backend_pid()"
_ROUNDS = 10
"""Others that keep a pool busy hid it from at most two rounds in ten, measured on PgBouncer."""


class SharedSessionError(ConnectionError):
    """The session is not ours between two transactions; the message says the way round."""

    def __init__(self) -> None:
        super().__init__(
            "Postgres is reached through a pooler in transaction mode or statement mode, in which settings, prepared "
            "statements and locks of a session get lost: give the URI of Postgres itself, or of a pool in session mode "
            "(PgBouncer: pool_mode=session for this database)"
        )


async def check_session(first: asyncpg.Connection, second: asyncpg.Connection) -> None:
    """Raise `SharedSessionError` unless each of two connections, neither in a transaction, keeps its server process.

    A pooler that shares lends the first another when it is asked twice, or the second the first's, or must lend the
    first another while the second is in a transaction: any of it shows. Repeated, since others may use the same pool
    meanwhile; what was seen in any round counts.
    """
    firsts: set[int] = set()
    seconds: set[int] = set()
    try:
        for _ in range(_ROUNDS):
            firsts |= {await first.fetchval(_WHO), await first.fetchval(_WHO)}
            async with second.transaction():
                seconds.add(await second.fetchval(_WHO))
                firsts.add(await first.fetchval(_WHO))
            if len(firsts) > 1 or len(seconds) > 1 or firsts & seconds:
                raise SharedSessionError
    except (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError):
        raise SharedSessionError from None  # what one has prepared, another has in its session
    except asyncpg.PostgresConnectionError as error:
        if "statement pooling" in str(error):  # PgBouncer's pool_mode=statement lets nobody begin a transaction
            raise SharedSessionError from None
        raise
