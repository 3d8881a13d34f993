"""Who did what by the console, kept beside its jobs: `audit.py` says how it is known that nothing was changed there."""

import hashlib
import json
from collections.abc import Mapping

from orderflow_console.actions import audit
from orderflow_console.actions.own_tables import OwnTables

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('orderflow.console.audit'))"


class Trail:
    """The trail of a flow's console."""

    def __init__(self, tables: OwnTables) -> None:
        self._tables = tables

    async def note(self, who: str, what: str, subject: str, said: Mapping[str, str]) -> None:
        """Add an entry; raise `ReadError` when it cannot be written.

        What a form said may be personal, as an event that is edited: its fields' names are kept, and the SHA-256 of it.
        """
        told = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
        details = {"fields": sorted(said), "sha256": told}
        async with self._tables.connection() as connection, connection.transaction():
            await connection.execute(_LOCK)
            await audit.append(connection, who, what, subject, details, self._tables.schema)
