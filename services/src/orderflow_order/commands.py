"""What the API asks of orders, and the answers; `handlers` decides them."""

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from orderflow_order.domain import State
from orderflow_runtime import Command
from orderflow_shop.events import CancelReason, OrderCreated


class Outcome(Enum):
    """What became of a placement."""

    CREATED = "created"
    REPEATED = "repeated"
    KEY_REUSED = "key reused"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an order stands: the answer to every command that goes through."""

    id: str
    state: State
    reason: CancelReason | None
    outcome: Outcome = Outcome.REPEATED


@dataclass(frozen=True, slots=True)
class NotPlaced:
    """There is no such order."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The order's state does not allow it; `detail` says what would."""

    detail: str


Placement = Standing | Literal[Outcome.KEY_REUSED]
Decision = Standing | NotPlaced | Refused


@dataclass(frozen=True, slots=True)
class Place(Command[Placement]):
    """Begin an order; the same one again changes nothing."""

    NAME = "place"
    order: OrderCreated

    @property
    def key(self) -> str:
        """Return the order's id."""
        return self.order.order_id


@dataclass(frozen=True, slots=True)
class Cancel(Command[Decision]):
    """Cancel an order for its customer."""

    NAME = "cancel"
    order_id: str

    @property
    def key(self) -> str:
        """Return the order's id."""
        return self.order_id


@dataclass(frozen=True, slots=True)
class Resume(Command[Decision]):
    """Try an order's failed compensations again."""

    NAME = "resume"
    order_id: str

    @property
    def key(self) -> str:
        """Return the order's id."""
        return self.order_id
