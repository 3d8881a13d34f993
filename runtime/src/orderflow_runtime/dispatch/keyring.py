"""What a service reads and writes of people, in a flow with `spec.privacy`: sealed in whatever is stored of an event.

Data are opened for the handler alone, so that parked events, dead letters and the journal hold what came. Keys are
kept from batch to batch; that none was thrown away meanwhile is made sure of in the batch's own transaction. Who erases
waits for all who have asked there, so nothing of a person is committed by a key that is gone.
"""

import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from orderflow_contracts.event import Event
from orderflow_contracts.flow_key import FlowKey, PersonKey
from orderflow_contracts.personal import subject_of
from orderflow_contracts.places import is_marked
from orderflow_contracts.sealed import people_in
from orderflow_contracts.sealing import encode_sealed, open_sealed
from orderflow_runtime.dispatch.masking import ErasedMeanwhileError, Fetch, Masking

MOST_KEYS = 10_000
"""Of people whose events are not under way."""
_OPEN = "SELECT person, wrapped FROM privacy.open_keys($1::uuid[])"
_SEAL = """
SELECT number, person, wrapped FROM privacy.seal_keys($1::text[], $2::bytea[], $3::uuid[], $4::bytea[])
"""


class Keyring(Masking):
    """A service that may: it asks for the keys of a batch by one statement."""

    def __init__(self, flow_key: FlowKey, new_person: Callable[[], uuid.UUID] = uuid.uuid4) -> None:
        self._flow_key = flow_key
        self._new_person = new_person
        self._keys: OrderedDict[uuid.UUID, PersonKey] = OrderedDict()

    async def learn(self, fetch: Fetch, data: Iterable[bytes]) -> None:
        """Get the keys of all whose values stand in the data; what the keys of others leave room for is kept."""
        people = _people(data)
        for person in people & self._keys.keys():
            self._keys.move_to_end(person)
        if unknown := people - self._keys.keys():
            for row in await fetch(_OPEN, list(unknown)):
                self._add(row)
        while len(self._keys) > max(MOST_KEYS, len(people)):
            self._keys.popitem(last=False)

    def reveal(self, event: str, data: bytes) -> bytes:
        """Return the data opened; masked where a person has no key."""
        return open_sealed(data, event, self._flow_key, self._keys)

    async def hold(self, fetch: Fetch, data: Iterable[bytes]) -> None:
        """Ask once more for the keys that the batch was read by."""
        if not (people := _people(data)):
            return
        there = {uuid.UUID(int=row["person"].int) for row in await fetch(_OPEN, list(people))}
        if erased := (people & self._keys.keys()) - there:
            for person in erased:
                del self._keys[person]
            raise ErasedMeanwhileError(f"{len(erased)} people of this batch were erased meanwhile")

    async def encode(self, fetch: Fetch, events: Sequence[Event]) -> list[bytes]:
        """Return the events sealed, each by the key of its person, which is made where there is none."""
        personal = [event for event in events if is_marked(type(event))]
        keys = await self._keys_of(fetch, personal) if personal else {}
        return [
            encode_sealed(event, self._flow_key, keys.get(_named(event))) if is_marked(type(event)) else event.encode()
            for event in events
        ]

    async def _keys_of(self, fetch: Fetch, events: Iterable[Event]) -> dict[tuple[str, str | None], PersonKey]:
        named = sorted({_named(event) for event in events}, key=lambda one: (one[0], one[1] or ""))
        people = [self._new_person() for _ in named]
        hashes = [None if subject is None else self._flow_key.subject_hash(subject) for _, subject in named]
        rows = await fetch(_SEAL, [key for key, _ in named], hashes, people, [*map(self._flow_key.new_key, people)])
        return {named[row["number"] - 1]: self._add(row) for row in rows}

    def _add(self, row: Mapping[str, Any]) -> PersonKey:
        person = uuid.UUID(int=row["person"].int)
        key = self._keys.get(person) or self._flow_key.unwrap(person, row["wrapped"])
        self._keys[person] = key
        return key


def _people(data: Iterable[bytes]) -> set[uuid.UUID]:
    return set().union(*map(people_in, data))


def _named(event: Event) -> tuple[str, str | None]:
    return event.key, subject_of(event)
