"""Findings: what is wrong or odd in a resource, each with its place.

Loading and lint make them; the command line prints them, the operator turns them into conditions.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from heapq import nsmallest
from itertools import takewhile

MOST_SHOWN = 100
LONGEST_NAME = 100

Place = tuple[str | int, ...]


class Severity(StrEnum):
    """Whether a finding refuses the resource."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """One thing wrong or odd: its path in the resource, its message, its line in the file where known."""

    path: str
    message: str
    line: int | None = None
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message

    def on_line(self, line: int | None) -> "Finding":
        """Return the same finding on a line, counted from 1."""
        return replace(self, line=line)


class InvalidResourceError(ValueError):
    """A resource that is refused; `findings` says at which places and what to do."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(map(str, self.findings[:MOST_SHOWN])))


def path_of(place: Place) -> str:
    """Return a place as people write it: `spec.services[2].subscribes[0]`."""
    return "".join(map(_step, place)).removeprefix(".")


def place_of(path: str) -> Place:
    """Return the steps of a path that `path_of` wrote."""
    steps = re.findall(r'\["((?:[^"])*)"\]|\[(\d+)\]|([^.\[\]]+)', path)
    return tuple(int(index) if index else key or quoted for quoted, index, key in steps)


def shortened(text: str, most: int = 80) -> str:
    """Return the text on one line, cut to a length a message can bear."""
    line = text.encode("unicode_escape").decode() if not text.isprintable() else text
    return line if len(line) <= most else f"{line[: most - 1]}…"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` for the known name that comes closest, or nothing."""
    short = name[:LONGEST_NAME]
    likely = nsmallest(3, known, key=lambda candidate: _differing(short, candidate))
    close = get_close_matches(short, likely, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _differing(one: str, other: str) -> int:
    """Return how long the differing middle of two names is; difflib alone takes minutes on hostile names."""
    start = _shared(one, other)
    end = _shared(one[start:][::-1], other[start:][::-1])
    return max(len(one), len(other)) - start - end


def _shared(one: str, other: str) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if re.fullmatch(r"[A-Za-z0-9_-]{1,100}", step) else f'["{shortened(step)}"]'
