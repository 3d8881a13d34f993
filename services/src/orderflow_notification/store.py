"""The notification service's rows: set-based SQL, called by the handlers."""

from collections.abc import Iterable, Mapping, Sequence

from orderflow_notification.domain import Contact, Notice
from orderflow_runtime import Transaction

_CLAIM = """
    INSERT INTO notifications (order_id, kind)
    SELECT * FROM unnest($1::text[], $2::text[]) ORDER BY 1, 2
    ON CONFLICT DO NOTHING
    RETURNING order_id"""

_LEARN = """
    INSERT INTO contacts (order_id, email, name)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) ORDER BY 1
    ON CONFLICT (order_id) DO UPDATE SET email = excluded.email, name = excluded.name"""

_KNOWN = "SELECT order_id, email, name FROM contacts WHERE order_id = ANY($1::text[]) AND email IS NOT NULL"

_MISS = """
    INSERT INTO contacts (order_id)
    SELECT * FROM unnest($1::text[]) ORDER BY 1
    ON CONFLICT DO NOTHING"""

_WAIT = """
    INSERT INTO waiting (order_id, kind, subject, body)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])"""

_RELEASE = "DELETE FROM waiting WHERE order_id = ANY($1::text[]) RETURNING order_id, kind, subject, body"

_REFUSE = """
    UPDATE notifications n SET refusal = r.reason
    FROM unnest($1::text[], $2::text[], $3::text[]) AS r (order_id, kind, reason)
    WHERE n.order_id = r.order_id AND n.kind = r.kind"""


async def claim(tx: Transaction, notices: Sequence[Notice]) -> list[Notice]:
    """Note notices, at most one an order, and give those that were never noted before."""
    if not notices:
        return []
    rows = await tx.fetch(_CLAIM, [n.order_id for n in notices], [n.kind for n in notices])
    new = {row["order_id"] for row in rows}
    return [notice for notice in notices if notice.order_id in new]


async def learn(tx: Transaction, contacts: Mapping[str, Contact]) -> list[Notice]:
    """Store contacts by order, and give the notices that waited for them."""
    emails, names = [c.email for c in contacts.values()], [c.name for c in contacts.values()]
    await tx.execute(_LEARN, list(contacts), emails, names)
    rows = await tx.fetch(_RELEASE, list(contacts))
    return [Notice(row["order_id"], row["kind"], row["subject"], row["body"]) for row in rows]


async def contacts(tx: Transaction, orders: Sequence[str]) -> dict[str, Contact]:
    """Return the contacts of these orders that are known.

    A placeholder is left for the others: it makes a transaction that is just storing the contact wait for us, or
    us for it, so that no notice waits for a contact that is there.
    """
    known = await _known(tx, orders)
    missed = [order for order in orders if order not in known]
    if missed:
        await tx.execute(_MISS, missed)
        known |= await _known(tx, missed)
    return known


async def wait(tx: Transaction, notices: Iterable[Notice]) -> None:
    """Keep notices until their contact comes."""
    rows = [(n.order_id, n.kind, n.subject, n.text) for n in notices]
    if rows:
        await tx.execute(_WAIT, *map(list, zip(*rows, strict=True)))


async def refuse(tx: Transaction, reasons: Mapping[tuple[str, str], str]) -> None:
    """Note notices (order and kind → reason) that will never be taken."""
    if reasons:
        orders, kinds = zip(*reasons, strict=True)
        await tx.execute(_REFUSE, list(orders), list(kinds), list(reasons.values()))


async def _known(tx: Transaction, orders: Sequence[str]) -> dict[str, Contact]:
    rows = await tx.fetch(_KNOWN, list(orders))
    return {row["order_id"]: Contact(row["email"], row["name"]) for row in rows}
