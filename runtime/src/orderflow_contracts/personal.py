"""Which values of an event are personal, by the marks in its model (`event.PERSONAL`): they stay out of words."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from orderflow_contracts.event import PERSONAL


def personal_values(value: Any) -> Iterator[str]:
    """Yield the text of every field below that is marked as personal, line by line: not all writers keep line feeds."""
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            found = getattr(value, name)
            if field.json_schema_extra != PERSONAL:
                yield from personal_values(found)
            elif found is not None:
                yield from str(found).splitlines()
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from personal_values(item)
