"""What goes wrong, and when: the doubles of Kafka and Postgres pass every step of their work through a `Faults`."""

from collections import defaultdict
from collections.abc import Callable
from typing import Literal, get_args

FaultStep = Literal[
    "begin",
    "open",
    "claim",
    "close",
    "commit",
    "committed",
    "acquire",
    "release",
    "backlog",
    "pending_calls",
    "due",
    "seen",
    "note",
    "read",
    "rotate",
    "start",
    "resume",
    "fetch",
    "metadata",
    "publish",
    "published",
]
"""A step of the store or the log. Each is passed before what it names, but `committed` and `published` after it.

Of a transaction: `begin`, `open` (leases and inbox are checked), `claim` (what is due is taken), `close` (what is owed
is written), `commit`, `committed` (only its answer is lost). Of the store besides: `acquire` and `release` leases,
`backlog` of the outbox, `pending_calls`, what is `due`, what was `seen` before, `note` an attempt, `read`, `rotate` the
inbox. Of the log:
`start`, `resume`, `fetch`, `metadata`, `publish` (before each message), `published` (only its acknowledgement is lost).

Example:
    >>> step: FaultStep = "committed"
"""
_STEPS: tuple[FaultStep, ...] = get_args(FaultStep)


class Faults:
    """What goes wrong, by step: `add` scripts it. A fault is an exception; which, is the port's to say.

    `StoreUnavailable` and `LogUnavailable` are Postgres and Kafka being away. `seen` is every step passed so far, and
    `always` is called with each of them: what it raises is a fault too.

    Example:
        >>> faults = Faults()
        >>> faults.add("commit", None, StoreUnavailable("gone"))
        >>> faults.at("commit")
        >>> faults.at("commit")
        Traceback (most recent call last):
        orderflow_runtime.core.store.StoreUnavailable: gone
        >>> faults.seen
        ['commit', 'commit']
    """

    def __init__(self) -> None:
        self._scripted: defaultdict[FaultStep, list[BaseException | None]] = defaultdict(list)
        self.always: Callable[[FaultStep], None] = lambda _: None
        self.seen: list[FaultStep] = []

    def add(self, step: FaultStep, *errors: BaseException | None) -> None:
        """Raise these at the next passes of a step.

        Args:
            step: Where.
            errors: One for each pass; None lets it pass.

        Raises:
            ValueError: There is no such step.
        """
        if step not in _STEPS:
            raise ValueError(f"{step!r} is no step; there are {', '.join(_STEPS)}")
        self._scripted[step] += errors

    def at(self, step: FaultStep) -> None:
        """Pass a step, as the doubles do; raises what is due there.

        Args:
            step: Which.
        """
        self.seen.append(step)
        self.always(step)
        if self._scripted[step] and (error := self._scripted[step].pop(0)) is not None:
            raise error
