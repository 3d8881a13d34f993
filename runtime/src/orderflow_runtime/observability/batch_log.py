"""The lines of log that a person wants to read of a batch, after its commit; the worker calls `log_batch`.

An ordinary event has no line of its own: its numbers are in the metrics, its steps in its history.
"""

import logging

from orderflow_runtime.core.store import DeadLetter
from orderflow_runtime.dispatch.dispatcher import Committed
from orderflow_runtime.observability.logs import about

logger = logging.getLogger(__name__)


def log_batch(committed: Committed) -> None:
    """Log what did not go straight."""
    for park in committed.parked:
        if park.attempts > park.item.attempts:
            logger.warning(
                *("attempt %d failed, the next in %.1f s: %s", park.attempts, park.delay.total_seconds(), park.reason),
                extra=about(park.item),
            )
    for item in committed.handled:
        if item.attempts:
            logger.info("handled at attempt %d", item.attempts + 1, extra=about(item))
    for letter in committed.dead:
        logger.error(
            "to the dead letters after %d attempts: %s", letter.attempts, letter.reason, extra=_about_letter(letter)
        )
    for item in committed.dropped:
        logger.warning("dropped: %s", item.not_taken, extra=about(item))
    if logger.isEnabledFor(logging.DEBUG):
        counts = len(committed.handled), len(committed.published), len(committed.calls)
        logger.debug("a batch of %d items published %d events and made %d calls", *counts)


def _about_letter(letter: DeadLetter) -> dict[str, str]:
    told = {"key": letter.key, "event": letter.type, "event_id": letter.event_id}
    return {name: value for name, value in told.items() if value is not None}
