"""An event's data as people may see them: what the resource calls personal is masked, what cannot be read hidden."""

from typing import NamedTuple

from pydantic_core import from_json

from orderflow_console.queries.masking import mask, personal_fields
from orderflow_console.web.rendering import pretty
from orderflow_model.flow import OrderFlow

_MOST_CHARACTERS = 100_000


class Payload(NamedTuple):
    """A text to show, and what has to be said of it."""

    text: str
    note: str = ""
    whole: bool = True
    is_masked: bool = False


def payload(flow: OrderFlow, topic: str, value: bytes, *, unmasked: bool = False) -> Payload:
    """Return the data of a record that belongs to a topic of the flow; of another topic every value is masked.

    `unmasked`: it is for somebody who may see what is personal.
    """
    personal = () if unmasked else personal_fields(flow).get(topic)
    try:
        data = from_json(value, allow_inf_nan=False)
    except ValueError:
        return _unreadable(value, hidden=personal is None or bool(personal))
    text = pretty(mask(data, personal))
    note = "Masked (•••): what the resource calls personal." if personal else ""
    if personal is None:
        note = "All values are masked (•••): this is no event of the flow, and nobody said what in it is personal."
    return _cut(text, note)._replace(is_masked=bool(note))


def _unreadable(value: bytes, *, hidden: bool) -> Payload:
    if hidden:
        note = f"{len(value):,} bytes that are no JSON; they may be personal, so they are not shown."
        return Payload("", note, is_masked=True)
    return _cut(value.decode(errors="replace"), "This is no JSON.")


def _cut(text: str, note: str) -> Payload:
    if len(text) <= _MOST_CHARACTERS:
        return Payload(text, note)
    return Payload(text[:_MOST_CHARACTERS], f"{note} Only the beginning is shown.".strip(), whole=False)
