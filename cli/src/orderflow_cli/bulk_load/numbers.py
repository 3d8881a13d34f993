"""Numbers as files write them: digits, one decimal mark, thousands in groups of three where the mapping says how."""

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

SPACES = " \u00a0\u202f\u2009"
"""A thousands mark of a blank stands for each of these."""
_MOST_DIGITS = 30


@dataclass(frozen=True)
class NumberFormat:
    """`thousands` is empty where numbers have none."""

    decimal: str = "."
    thousands: str = ""
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        group = f"[{SPACES}]" if self.thousands in SPACES else re.escape(self.thousands)
        whole = rf"[0-9]{{1,3}}(?:{group}[0-9]{{3}})+|[0-9]+" if self.thousands else "[0-9]+"
        pattern = rf"([+-]?)({whole})(?:{re.escape(self.decimal)}([0-9]+))?"
        object.__setattr__(self, "_pattern", re.compile(pattern))

    def read(self, value: Any) -> Decimal | None:
        """Return a number that a file holds as text or as such; None where it is none."""
        if isinstance(value, bool):
            return None
        if isinstance(value, int | Decimal):
            return Decimal(value)
        if isinstance(value, float):
            return Decimal(repr(value))
        found = self._pattern.fullmatch(str(value).strip()) if len(str(value)) <= _MOST_DIGITS else None
        if found is None:
            return None
        sign, whole, fraction = found.groups()
        return Decimal(f"{sign}{re.sub('[^0-9]', '', whole)}.{fraction or 0}")
