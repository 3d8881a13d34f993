"""Ways to a customer, as ports of the runtime's calls: a log for trying out; `smtp_sender.py` has SMTP for real.

`__main__` chooses. Neither can tell later whether a message went out, so after a crash it is sent again under the
same id: it reaches a customer twice only when the sender died between sending and noting, and its id tells.
"""

import logging
from collections.abc import Mapping
from typing import Any, Protocol

_log = logging.getLogger("orderflow_notification.sent")


class Sender(Protocol):
    """A port that sends messages. Its result is {"refused": {message id: reason}}."""

    @property
    def at_once(self) -> int:
        """How many messages one call takes."""
        ...

    async def perform(self, request: Mapping[str, Any], idempotency_key: str) -> dict[str, Any]:
        """Send the request's messages."""
        ...

    async def lookup(self, idempotency_key: str) -> dict[str, Any] | None:
        """Return None: send again."""
        ...


class LogSink:
    """Writes one line a message, without the address: it is personal."""

    at_once = 500

    async def perform(self, request: Mapping[str, Any], idempotency_key: str) -> dict[str, Any]:
        """Log the messages."""
        for message in request["messages"]:
            _log.info("notification %s: %s", message["id"], message["subject"])
        return {"refused": {}}

    async def lookup(self, idempotency_key: str) -> dict[str, Any] | None:
        """Return None: a line may be written twice."""
        return None
