"""Dead letters of messages that a service made and no topic takes: what its handler did is done, so they are kept.

`orderflow redrive` writes such a letter to the topic it was meant for, once that takes it (header `UNSENT`).
"""

import asyncio
import hashlib
import logging
import uuid

from orderflow_contracts.dead_letters import UNSENT
from orderflow_runtime.backoff import Backoff
from orderflow_runtime.core.event_log import Message, Partition
from orderflow_runtime.core.retryable import Retryable
from orderflow_runtime.core.store import DeadLetter, Store, storable
from orderflow_runtime.dispatch.dead_letters import dead_letter_message
from orderflow_runtime.tracing.trace_context import trace_of

logger = logging.getLogger(__name__)

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.1, 5.0


class Unsent:
    """Makes and notes the letters of one service."""

    def __init__(self, store: Store, service: str, dead_letter_topic: str) -> None:
        self._store = store
        self._service = service
        self._dead_letter_topic = dead_letter_topic

    async def give_up(self, message: Message, reason: str) -> Message:
        """Note that a message is given up, and return its letter; waits for Postgres as long as it is away."""
        letter = self._letter(message, storable(reason))
        backoff = Backoff(_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS)
        while True:
            try:
                await self._store.record_dead_letter(letter)
                break
            except Retryable as error:
                logger.warning("a dead letter is not noted yet: %s", error)
                await asyncio.sleep(backoff.next_wait())
        headers = [*message.headers, (UNSENT, b"true")]
        return dead_letter_message(letter, self._service, self._dead_letter_topic, message.key, headers, message.value)

    def _letter(self, message: Message, reason: str) -> DeadLetter:
        headers = {name: (value or b"").decode(errors="replace") for name, value in message.headers}
        event_id = headers.get("ce_id")
        name = f"{self._service}\nunsent\n{message.topic}\n{event_id}"
        return DeadLetter(
            id=uuid.UUID(bytes=hashlib.blake2b(name.encode(), digest_size=16).digest()),
            shard=Partition(message.topic, 0),
            offset=None,
            key=(message.key or b"").decode(errors="replace"),
            type=headers.get("ce_type", ""),
            event_id=event_id,
            attempts=1,
            reason=reason,
            trace=trace_of(message.headers),
        )
