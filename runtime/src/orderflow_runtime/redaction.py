"""What may be told of an error: its words without what they quote of people. Reasons are logged, stored, and published
with dead letters, and more may read those than may read an order.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from orderflow_contracts.personal import personal_values
from orderflow_runtime.service import CallOutcome, Fired, Received

MASK = "***"


def redacted_reason(error: BaseException, payload: Any = None) -> str:
    """Return the error's type and words; `payload` is what was handled, or the request of a call.

    What is personal in it is masked, and all that the outside was asked. A model's refusal names places and never
    values; Postgres' detail, which quotes the row, is left out.
    """
    return f"{type(error).__name__}: {_masked(_words(error), payload)}"


def _words(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        found = error.errors(include_url=False, include_input=False, include_context=False)
        return "; ".join(f"/{'/'.join(map(str, one['loc']))}: {one['msg']}" for one in found)
    try:
        return str(error).partition("\nDETAIL:")[0]
    except Exception as broken:  # an author's own error may have words that cannot be told
        return f"(it has no words: telling them raises {type(broken).__name__})"


def _masked(text: str, payload: Any) -> str:
    values = sorted({value for value in _personal(payload) if value.strip()}, key=len, reverse=True)
    if not values:
        return text
    return re.sub("|".join(rf"(?<!\w){re.escape(value)}(?!\w)" for value in values), MASK, text)


def _personal(payload: Any) -> Iterator[str]:
    match payload:
        case Received(event=event, replies=replies):
            for one in (event, *replies):
                yield from personal_values(one)
        case CallOutcome(request=request, result=result):
            yield from _texts([request, result])
        case Fired(payload=request):
            yield from _texts(request)
        case Mapping():
            yield from _texts(payload)


def _texts(value: Any) -> Iterator[str]:
    """Yield all text below: what a port was asked has no model that says what of it is personal."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one)
