"""Hides what is personal in an event's data: all values where nobody said which are, for those might be."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orderflow_contracts.envelope import ATTRIBUTES, CONTENT_TYPE
from orderflow_model.contracts.schema import unescaped
from orderflow_model.flow import OrderFlow
from orderflow_model.topics import event_topic

MASK = "•••"
_KNOWN = {*ATTRIBUTES, CONTENT_TYPE}


def mask(data: Any, personal: Iterable[str] | None) -> Any:
    """Return the data with what the JSON pointers name masked; None: nobody knows, so every text and number is.

    A pointer's part `*`, and one that meets a list without being a number, stands for all items. What stands where a
    pointer would go deeper is masked: it may hold what is personal in another form. Of an event in structured mode
    (CloudEvents JSON format) the pointers are into its data.
    """
    if personal is None:
        return _masked(data)
    for pointer in personal:
        path = [unescaped(part) for part in pointer.split("/")[1:]]
        data = _without(data, path)
        if isinstance(data, dict) and "specversion" in data:
            data = _without(_without(data, ["data", *path]), ["data_base64"])
    return data


def personal_fields(flow: OrderFlow) -> dict[str, tuple[str, ...]]:
    """Return the pointers to what is personal, by topic."""
    return {event_topic(flow, event).name: event.personal_data for event in flow.spec.events}


def mask_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return a record's headers with all but an event's own masked: the resource says nothing of what is in others."""
    return {name: text if name in _KNOWN else MASK for name, text in headers.items()}


def _without(data: Any, path: Sequence[str]) -> Any:
    if not path:
        return _masked(data)
    first, rest = path[0], path[1:]
    if isinstance(data, dict):
        return {name: _without(value, rest) if first in (name, "*") else value for name, value in data.items()}
    if isinstance(data, list):
        if first == "*":
            return [_without(value, rest) for value in data]
        if first.isdecimal():
            return [_without(value, rest) if number == int(first) else value for number, value in enumerate(data)]
        return [_without(value, path) for value in data]
    return _masked(data)


def _masked(data: Any) -> Any:
    """Return the same shape without its values; what is not there, true and false stay."""
    if isinstance(data, dict):
        return {name: _masked(value) for name, value in data.items()}
    if isinstance(data, list):
        return [_masked(value) for value in data]
    return data if data is None or isinstance(data, bool) else MASK
