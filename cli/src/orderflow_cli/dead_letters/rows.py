"""Notes in a service's database what became of its dead letters; the service itself notes the rest."""

import asyncio
import uuid
from collections.abc import Sequence

from orderflow_cli.database import FAILURES
from orderflow_cli.errors import LaptopError
from orderflow_model.names import schema_name
from orderflow_model.postgres_uri import PostgresUri
from orderflow_runtime.postgres.connecting import connect


class RedriveError(LaptopError):
    """Dead letters cannot be read or put back."""


def note_sent(database: PostgresUri, service: str, ids: Sequence[uuid.UUID]) -> None:
    """Note that messages which had not reached their topic now have; raise `RedriveError`."""
    query = f"""UPDATE "{schema_name(service)}".dead_letters SET state = 'Redriven', redrives = redrives + 1
      WHERE id = ANY($1::uuid[])"""  # noqa: S608 - only fixed names are put in
    try:
        asyncio.run(_execute(database, query, list(ids)))
    except FAILURES as error:
        raise RedriveError(
            f"{len(ids)} letters are sent and not noted so: {error}", "Redrive again: it is safe"
        ) from None


async def _execute(database: PostgresUri, query: str, ids: list[uuid.UUID]) -> None:
    connection = await connect(database)
    try:
        await connection.execute(query, ids)
    finally:
        await connection.close()
