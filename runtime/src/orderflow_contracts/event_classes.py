"""Which classes of a module are a flow's events: those that are told apart by a `TYPE`."""

import importlib
from typing import TypeGuard

from orderflow_contracts.event import Event


def load_event_classes(module: str) -> dict[str, type[Event]]:
    """Return the Event classes of a module by their types; raise whatever its import raises."""
    found = vars(importlib.import_module(module)).values()
    return {kind.TYPE: kind for kind in list(found) if _is_event(kind)}


def _is_event(kind: object) -> TypeGuard[type[Event]]:
    return isinstance(kind, type) and issubclass(kind, Event) and hasattr(kind, "TYPE")
