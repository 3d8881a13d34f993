"""The grants' rows."""

from orderflow_runtime import Transaction

_GRANT = "INSERT INTO grants (order_id, customer, points) VALUES ($1, $2, $3)"


async def grant(tx: Transaction, order_id: str, customer: str, points: int) -> None:
    """Note a grant. There is no ON CONFLICT on purpose: a second one for an order would fail, and be found."""
    await tx.execute(_GRANT, order_id, customer, points)
