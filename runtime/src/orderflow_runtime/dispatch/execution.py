"""The handlers' part of one batch: who runs in which order, and what becomes of an event that fails.

`dispatcher.py` makes one `BatchExecution` per transaction and writes what it gathered when the transaction closes.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from orderflow_contracts.dead_letters import CALL, TIMER
from orderflow_contracts.envelope import Header
from orderflow_contracts.event import Event, UndecodableError
from orderflow_runtime.core.retryable import Retryable
from orderflow_runtime.core.store import BatchTransaction, DeadLetter, Park, storable
from orderflow_runtime.core.work_item import Poison, WorkItem
from orderflow_runtime.dispatch.dead_letters import dead_letter_message, dead_letter_of_item, dead_letter_of_poison
from orderflow_runtime.dispatch.effects import Effects, Publisher
from orderflow_runtime.dispatch.handler_call import call_handler
from orderflow_runtime.dispatch.masking import Masking
from orderflow_runtime.dispatch.retry import RetryPolicy
from orderflow_runtime.redaction import redacted_reason
from orderflow_runtime.service import NotTakenError, Service, Verdict

Handler = Callable[[Sequence[Any], Effects], Awaitable[Iterable[Event]]]

WAITS = "waits behind an earlier event of its key"
_LOOK_AGAIN = timedelta(seconds=1)
"""When to look what came of an event that was still under way."""


@dataclass(frozen=True)
class HandlerPolicy:
    """What stays the same from batch to batch."""

    service: str
    dead_letter_topic: str
    handlers: Mapping[str, Handler]
    publisher: Publisher
    retry: RetryPolicy
    privacy: Masking | None = None
    """What the service sees of people, where the flow seals that."""


def handler_table(service: Service) -> dict[str, Handler]:
    """Return every handler under the type of its items."""
    table: dict[str, Handler] = {event.TYPE: handler for event, handler in service.handlers.items()}
    table |= {TIMER + name: handler for name, handler in service.timers.items()}
    table |= {CALL + kind: call.handler for kind, call in service.calls.items()}
    return table


def rounds(items: Iterable[WorkItem]) -> list[list[WorkItem]]:
    """Group items for handler calls: one type each, a key at most once each, and each key's items in order."""
    count: dict[str, int] = {}
    groups: dict[tuple[int, str], list[WorkItem]] = {}
    for item in items:
        turn = count.get(item.key, 0)
        count[item.key] = turn + 1
        groups.setdefault((turn, item.type), []).append(item)
    return [groups[at] for at in sorted(groups, key=lambda at: at[0])]


@dataclass
class BatchExecution:
    """One run of a batch's handlers inside a transaction, and what came of it."""

    policy: HandlerPolicy
    tx: BatchTransaction
    effects: Effects
    handled: list[WorkItem] = field(default_factory=list)
    published: list[Event] = field(default_factory=list)
    parked: list[Park] = field(default_factory=list)
    unparked: list[int] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    dropped: list[WorkItem] = field(default_factory=list)
    blocked: set[str] = field(default_factory=set)

    async def run(self, items: Iterable[WorkItem], blocked_keys: Collection[str], careful: bool) -> None:
        """Run all items; `blocked_keys` are those with parked events. A failure raises, unless the run is careful."""
        self.blocked |= set(blocked_keys)
        for group in rounds(items):
            if not (ready := self._ready(group)):
                continue
            if careful:
                await self._halve(ready)
            else:
                self._keep(ready, await self._call(ready))

    def dead_letter_poison(self, poison: Iterable[Poison]) -> None:
        """Send unreadable records to the dead letters."""
        for broken in poison:
            letter, record = dead_letter_of_poison(broken, self.policy.service), broken.record
            self._dead_letter(letter, record.key, record.headers, record.value)

    async def _call(self, items: Sequence[WorkItem]) -> list[Event]:
        """Call the handler of these items, all of one type, and gather the events that it returns."""
        handler = self.policy.handlers[items[0].type]
        self.effects.causes |= {item.key: item.cause for item in items}
        self.effects.shards |= {item.key: item.shard for item in items}
        payloads = [item.payload for item in items]
        events = await call_handler(handler, payloads, self.effects, self.policy.retry.timeout)
        causes = [self.effects.cause(event.key) for event in events]
        for event, message in zip(events, await self.policy.publisher.messages(self.tx, events, causes), strict=True):
            self.effects.send(message, event.key)
        return events

    def _keep(self, items: Sequence[WorkItem], events: Sequence[Event]) -> None:
        self.published += events
        self.handled += items
        self.unparked += [item.parked_id for item in items if item.parked_id is not None]

    async def _halve(self, items: Sequence[WorkItem]) -> None:
        mark = self.effects.mark()
        try:
            async with self.tx.savepoint():
                events = await self._call(items)
            self._keep(items, events)
        except Retryable:
            raise
        except Exception as error:
            self.effects.restore(mark)
            if len(items) == 1:
                self._fail(items[0], redacted_reason(error, items[0].payload))
                return
            middle = len(items) // 2
            for half in (items[:middle], items[middle:]):
                if ready := self._ready(half):
                    await self._halve(ready)

    def _ready(self, items: Iterable[WorkItem]) -> list[WorkItem]:
        """Leave out what waits behind a parked event of its key, and what this version cannot read any more."""
        ready = []
        for item in items:
            if isinstance(item.payload, UndecodableError):
                self._dead_letter_item(item, item.attempts, str(item.payload))
            elif item.offset is not None and item.parked_id is None and item.key in self.blocked:
                self._park(item, 0, WAITS, timedelta(0))
            elif item.not_taken is not None:
                self._put_off(item, item.not_taken)
            else:
                ready.append(item)
        return ready

    def _put_off(self, item: WorkItem, not_taken: NotTakenError) -> None:
        """Do with an event that the recipient has not taken as its verdict says."""
        match not_taken.verdict:
            case Verdict.WAIT:
                self._park(item, item.attempts, str(not_taken), _LOOK_AGAIN)
            case Verdict.RETRY:
                self._fail(item, str(not_taken), timedelta(seconds=not_taken.after))
            case Verdict.REFUSE:
                self._dead_letter_item(item, item.attempts + 1, storable(str(not_taken)))
            case Verdict.DROP:
                self.dropped.append(item)
                self.unparked += [item.parked_id] if item.parked_id is not None else []

    def _fail(self, item: WorkItem, reason: str, at_least: timedelta = timedelta(0)) -> None:
        attempts, reason = item.attempts + 1, storable(reason)
        if self.policy.retry.exhausted(attempts):
            self._dead_letter_item(item, attempts, reason)
        else:
            self._park(item, attempts, reason, max(at_least, self.policy.retry.delay(attempts)))

    def _park(self, item: WorkItem, attempts: int, reason: str, delay: timedelta) -> None:
        self.blocked.add(item.key)
        self.parked.append(Park(item, attempts, reason, delay))

    def _dead_letter_item(self, item: WorkItem, attempts: int, reason: str) -> None:
        if item.parked_id is not None:
            self.unparked.append(item.parked_id)
        letter = dead_letter_of_item(item, self.policy.service, attempts, reason)
        is_call = item.type.startswith(CALL)
        # a call's request is not sealed, and it is not redriven: of people, nothing of it goes into the log
        value = b"{}" if is_call and self.policy.privacy is not None else item.value
        self._dead_letter(letter, item.key.encode(), item.headers, value)

    def _dead_letter(
        self, letter: DeadLetter, key: bytes | None, headers: Iterable[Header], value: bytes | None
    ) -> None:
        topic = self.policy.dead_letter_topic
        self.dead.append(letter)
        self.effects.send_from(
            letter.shard, dead_letter_message(letter, self.policy.service, topic, key, headers, value)
        )
