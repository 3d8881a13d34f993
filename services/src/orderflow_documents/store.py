"""The documents service's rows: set-based SQL, called by the handlers and the API."""

from collections.abc import Mapping, Sequence
from typing import Any

from orderflow_documents.commands import Document, Keep, Standing, State
from orderflow_documents.events import Kind
from orderflow_runtime import Transaction

_COLUMNS = "id, order_id, kind, object, sha256, size, media_type, state"

_ANNOUNCE = """
    INSERT INTO documents (id, order_id, kind, object, sha256, size, media_type)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[])
    ORDER BY 1 ON CONFLICT DO NOTHING"""

_LOCK = f"SELECT {_COLUMNS} FROM documents WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"  # noqa: S608 - constants

_KEEP = """
    UPDATE documents AS d
    SET state = 'STORED', stored_at = clock_timestamp(), words = to_tsvector($3::text::regconfig, k.text)
    FROM unnest($1::text[], $2::text[]) AS k (id, text) WHERE d.id = k.id"""

_LEAVE = "UPDATE documents SET state = 'LEAVING', words = NULL WHERE id = ANY($1::text[])"

_FORGET = "DELETE FROM documents WHERE id = ANY($1::text[]) AND state = 'LEAVING'"

ONE = f"SELECT {_COLUMNS}, stored_at FROM documents WHERE id = $1 AND state = 'STORED'"  # noqa: S608 - constants

_PAGE = f"""
    SELECT {_COLUMNS}, stored_at FROM documents
    WHERE state = 'STORED' AND {{}}
      AND ($2::text = '' OR (stored_at, id) < (SELECT p.stored_at, p.id FROM documents AS p WHERE p.id = $2))
    ORDER BY stored_at DESC, id DESC LIMIT $3"""  # noqa: S608 - constants

OF_ORDER = _PAGE.format("order_id = $1")
"""Documents of order $1 behind document $2, newest first, at most $3."""
MATCHING = _PAGE.format("words @@ websearch_to_tsquery($4::text::regconfig, $1) AND ($5::text = '' OR order_id = $5)")
"""The same of those whose words match $1 in language $4, of order $5 or of all."""
OF_OBJECTS = _PAGE.format("object = ANY($1::text[])")
"""The same of those with these objects."""
NEXT = f"SELECT {_COLUMNS} FROM documents WHERE state = 'STORED' AND id > $1 ORDER BY id LIMIT $2"  # noqa: S608 - constants
"""At most $2 documents behind document $1, by their ids."""


async def announce(tx: Transaction, documents: Sequence[Document]) -> dict[str, Standing]:
    """Store documents that are new, and return how each stands."""
    columns = zip(
        *((d.id, d.order_id, d.kind, d.object, d.sha256, d.size, d.media_type) for d in documents), strict=True
    )
    await tx.execute(_ANNOUNCE, *map(list, columns))
    return await load(tx, [document.id for document in documents])


async def load(tx: Transaction, ids: Sequence[str]) -> dict[str, Standing]:
    """Return how documents stand, by id, and hold them so."""
    rows = await tx.fetch(_LOCK, list(ids))
    return {row["id"]: Standing(document_of(row), State(row["state"])) for row in rows}


async def keep(tx: Transaction, kept: Sequence[Keep], language: str) -> None:
    """Make documents stored, with their words in a language of Postgres'."""
    if kept:
        await tx.execute(_KEEP, [one.key for one in kept], [one.text for one in kept], language)


async def leave(tx: Transaction, ids: Sequence[str]) -> None:
    """Let documents be found no more; their rows stay until their objects are gone."""
    if ids:
        await tx.execute(_LEAVE, list(ids))


async def forget(tx: Transaction, ids: Sequence[str]) -> None:
    """Remove the rows of documents that have left."""
    await tx.execute(_FORGET, list(ids))


def document_of(row: Mapping[str, Any]) -> Document:
    """Return the document of a row."""
    return Document(
        id=row["id"],
        order_id=row["order_id"],
        kind=Kind(row["kind"]),
        object=row["object"],
        sha256=row["sha256"],
        size=row["size"],
        media_type=row["media_type"],
    )
