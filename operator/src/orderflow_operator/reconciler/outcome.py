"""How a reconcile ended; the queue gives the next turn by it."""

from enum import StrEnum


class Outcome(StrEnum):
    """What a turn left behind, which says when the next is due."""

    SETTLED = "settled"
    PENDING = "pending"
    ENDING = "ending"
    TROUBLED = "troubled"
    GONE = "gone"
