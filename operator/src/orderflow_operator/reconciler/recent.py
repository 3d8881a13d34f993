"""What was worked out of the flows that had a turn last, for the turns that follow each other while an edit is made.

Only what its basis alone says may be kept here: what is there, Secrets and a Kafka are looked at anew.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from orderflow_operator.kubernetes.cache import FlowKey

_FLOWS = 32
"""Kept are those of the last turns: what all flows want would take most of the operator's memory."""

T = TypeVar("T")


class Recent(Generic[T]):
    """One result a flow, with what it was made of."""

    def __init__(self) -> None:
        self._kept: OrderedDict[FlowKey, tuple[object, T]] = OrderedDict()

    def of(self, key: FlowKey, basis: object, make: Callable[[], T]) -> T:
        """Return what was made of the same basis before, or make it; nobody changes it in place."""
        kept = self._kept.pop(key, None)
        if kept is None or not (kept[0] is basis or kept[0] == basis):
            kept = (basis, make())
        self._kept[key] = kept
        if len(self._kept) > _FLOWS:
            self._kept.popitem(last=False)
        return kept[1]
