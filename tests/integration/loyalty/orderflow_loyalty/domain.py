"""How many points an order is worth."""

from orderflow_shop.events import OrderCompleted

_CENTS_A_POINT = 100


def points(completed: OrderCompleted) -> int:
    """Give a point for each whole unit of the currency."""
    return completed.amount // _CENTS_A_POINT
