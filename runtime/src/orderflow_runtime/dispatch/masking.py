"""What a service sees of people in a flow with `spec.privacy`, if it may not read what is personal: masks."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from orderflow_contracts.event import Event
from orderflow_contracts.sealed import masked
from orderflow_runtime.core.retryable import Retryable

Fetch = Callable[..., Awaitable[Sequence[Mapping[str, Any]]]]
"""Runs a query; that of a transaction where so said."""


class ErasedMeanwhileError(Retryable):
    """A person was erased while their events were under way; read anew, these are masked."""


class Masking:
    """A service that may not read what is personal: it sees masks, and publishes nothing of people."""

    async def learn(self, fetch: Fetch, data: Iterable[bytes]) -> None:
        """Get ready to read the data of a batch."""

    def reveal(self, event: str, data: bytes) -> bytes:
        """Return an event's data as the service may see them; raise `UndecodableError` for what is broken."""
        return masked(data)

    async def hold(self, fetch: Fetch, data: Iterable[bytes]) -> None:
        """Hold whoever erases, to the end of the transaction; raise `ErasedMeanwhileError` who did before."""

    async def encode(self, fetch: Fetch, events: Sequence[Event]) -> list[bytes]:
        """Return the events as JSON for what is stored, within a transaction."""
        return [event.encode() for event in events]
