"""The documents service's handlers, run by the runtime in its transaction.

An object is written between two commits: the first says that it may be there, the second that it is, with the event.
Between them a timer waits; where the second never comes it takes the object away. So no event names an object that is
not there, and no object stays that nothing names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from orderflow_documents import store
from orderflow_documents.commands import Announce, Document, Keep, Remove, Standing, State
from orderflow_documents.events import DocumentRemoved, DocumentStored
from orderflow_runtime import CallOutcome, Event, Fired, Reply, Submitted, Transaction

LEAVE = "leave"
"""Name of the timer at whose end a document goes: one that was never kept, or one that was kept for long enough."""
ERASE = "erase"
"""Kind of the call that removes an object."""
INDEX = "index"
"""Kind of the call that has a document's words found by OpenSearch."""
UNKEPT_FOR = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Handlers:
    """The handler table's functions.

    `retention`: how long a document is kept, None for ever; `is_indexed`: whether it is told to OpenSearch.
    """

    language: str
    retention: timedelta | None
    is_indexed: bool = False

    async def announce(self, commands: Sequence[Submitted[Announce]], tx: Transaction) -> list[Reply[Standing]]:
        """Note documents that are about to be written; answer a repeated one with how it stands."""
        standing = await store.announce(tx, [one.command.document for one in commands])
        for key, one in standing.items():
            if one.state is State.ANNOUNCED:
                tx.set_timer(LEAVE, key, UNKEPT_FOR)
        return [Reply(standing[one.key]) for one in commands]

    async def keep(self, commands: Sequence[Submitted[Keep]], tx: Transaction) -> list[Reply[bool]]:
        """Keep documents whose object is written, and say so; not those that have left meanwhile."""
        standing = await store.load(tx, [one.key for one in commands])
        new = {one.key for one in commands if one.key in standing and standing[one.key].state is State.ANNOUNCED}
        await store.keep(tx, [one.command for one in commands if one.key in new], self.language)
        for key in new:
            self._set_end(key, tx)
            if self.is_indexed:
                self._index(standing[key].document, tx)
        return [_kept(standing.get(one.key), one.key in new) for one in commands]

    async def remove(self, commands: Sequence[Submitted[Remove]], tx: Transaction) -> list[Reply[bool]]:
        """Let documents go that somebody wants gone; the timer, due at once, takes their objects."""
        found = await self._let_go([one.key for one in commands], tx)
        for key in found:
            tx.set_timer(LEAVE, key, timedelta(0))
        return [Reply(one.key in found, tuple(_removed(found, one.key))) for one in commands]

    async def expire(self, timers: Sequence[Fired], tx: Transaction) -> list[Event]:
        """Let documents go whose time is over, and their objects; those of removed ones, too."""
        keys = [timer.key for timer in timers]
        for key, one in (await store.load(tx, keys)).items():
            tx.call(ERASE, key, {"object": one.document.object}, f"erase/{one.document.object}")
        found = await self._let_go(keys, tx)
        return [event for key in found for event in _removed(found, key)]

    async def forget(self, outcomes: Sequence[CallOutcome], tx: Transaction) -> list[Event]:
        """Forget documents whose object is gone."""
        await store.forget(tx, [outcome.key for outcome in outcomes])
        return []

    async def indexed(self, outcomes: Sequence[CallOutcome], tx: Transaction) -> list[Event]:
        """Note nothing: that a document's words are found is no news to anybody."""
        return []

    def _index(self, document: Document, tx: Transaction) -> None:
        request = {"object": document.object, "order": document.order_id, "media_type": document.media_type}
        tx.call(INDEX, document.id, request, f"index/{document.object}")

    async def _let_go(self, ids: Sequence[str], tx: Transaction) -> dict[str, Standing]:
        """Let documents be found no more, and return those that were there until now."""
        found = {key: one for key, one in (await store.load(tx, ids)).items() if one.state is not State.LEAVING}
        await store.leave(tx, list(found))
        return found

    def _set_end(self, key: str, tx: Transaction) -> None:
        if self.retention is None:
            tx.cancel_timer(LEAVE, key)
        else:
            tx.set_timer(LEAVE, key, self.retention)


def _kept(standing: Standing | None, new: bool) -> Reply[bool]:
    if standing is None or standing.state is State.LEAVING:
        return Reply(False)
    return Reply(True, (_stored(standing.document),) if new else ())


def _stored(document: Document) -> DocumentStored:
    return DocumentStored(
        order_id=document.order_id,
        document_id=document.id,
        kind=document.kind,
        object=document.object,
        sha256=document.sha256,
        size=document.size,
        media_type=document.media_type,
    )


def _removed(found: Mapping[str, Standing], key: str) -> list[Event]:
    """Return what is to be said of a document that goes; of an unkept one nobody has heard."""
    if key not in found or found[key].state is State.ANNOUNCED:
        return []
    return [DocumentRemoved(order_id=found[key].document.order_id, document_id=key)]
