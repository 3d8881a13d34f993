"""How much of the long tests a run takes: each is written once, in turns or cases, of which a run takes its portion.

`whole` is all of it, which takes too long for every change. `tenth` is every tenth turn. `slice:K/N` begins at turn K
instead of 0, so that N runs of different K have together done all. A test gets its portion by the fixture `chaos`; a
test that is marked `chaos` without asking for it is a case, and runs in one slice of N.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from zlib import crc32

T = TypeVar("T")


@dataclass(frozen=True)
class Portion:
    """Slice `number` of `of`, counted from 0."""

    number: int
    of: int

    def __str__(self) -> str:
        """Return what the head of a run says."""
        return "whole" if self.of == 1 else f"slice {self.number} of {self.of}"

    def turns(self, whole: Sequence[T]) -> list[T]:
        """Return every turn that is this run's, in order: at least one, where there are fewer turns than slices."""
        return list(whole[self.number :: self.of]) or [whole[self.number % len(whole)]]

    def size(self, whole: int) -> int:
        """Return a number of things that is `whole` in a whole run; at least 1."""
        return max(1, whole // self.of)

    def cases(self, nodes: Iterable[str]) -> set[str]:
        """Return the cases (pytest's node ids) that are this run's; each module deals its own out among the slices."""
        modules: dict[str, list[str]] = defaultdict(list)
        for node in nodes:
            modules[node.partition("::")[0]].append(node)
        return {
            node
            for module, cases in modules.items()
            for place, node in enumerate(cases, crc32(module.encode()))
            if place % self.of == self.number
        }


def portion(wish: str) -> Portion:
    """Read `tenth`, `whole` or `slice:K/N`; ValueError says what may stand there."""
    found = re.fullmatch(r"slice:(\d+)/(\d+)", {"tenth": "slice:0/10", "whole": "slice:0/1"}.get(wish, wish))
    if found is None or not int(found[1]) < int(found[2]):
        raise ValueError(f"--chaos takes tenth, whole or slice:K/N with K from 0 to N - 1, not {wish!r}")
    return Portion(int(found[1]), int(found[2]))
