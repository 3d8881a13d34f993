"""Events handed on by CloudEvents over HTTP, with answers taken as Knative has them.

Source: Knative Eventing, data plane contract: 2xx is success, and with an event a reply; 404, 409, 429 and 5xx are to
be tried again, by Retry-After; other 4xx never are. `Prefer: reply` asks for replies.
"""

import datetime as dt
import email.utils
from collections.abc import Sequence

from orderflow_contracts.event import Event, UndecodableError
from orderflow_push import cloud_events
from orderflow_push.app import App
from orderflow_push.cloud_events import BATCH, Said
from orderflow_push.contracts import UnwelcomeError, Vocabulary
from orderflow_push.http_client import Answer
from orderflow_runtime import Handed, NotTakenError, Verdict

_AGAIN = frozenset((404, 408, 409, 429))
_LONGEST_WAIT_SECONDS = 3600.0
_PREFER = ("prefer", "reply")


class CloudEventsRecipient:
    """A program that takes each event by a POST to one path; several in a batch where it asks for that."""

    kind = "push"

    def __init__(self, app: App, path: str, vocabulary: Vocabulary, at_once: int, together: int) -> None:
        self._app = app
        self._path = path
        self._vocabulary = vocabulary
        self.at_once = at_once
        self.together = together

    @property
    def obstacle(self) -> str:
        """Why nothing is handed on now."""
        return self._app.obstacle

    async def start(self) -> None:
        """Wait until the program listens."""
        await self._app.wait()

    async def hand(self, events: Sequence[Handed]) -> Sequence[Event]:
        """Post events and return the replies; raise `NotTakenError` as the answer says."""
        if self.together == 1:
            headers, body = cloud_events.binary(events[0]), events[0].received.event.data
        else:
            headers, body = [("content-type", BATCH)], cloud_events.batch(events)
        answer = await self._app.post(self._path, [*headers, _PREFER], body)
        check(answer)
        keys = {one.received.key for one in events}
        return self._replies(answer, keys.pop() if len(keys) == 1 else None)

    def _replies(self, answer: Answer, key: str | None) -> list[Event]:
        """Return the replies in an answer; what names no key of its own has that of the event it answers."""
        try:
            said: Sequence[Said] = cloud_events.read(answer.headers, answer.body) or ()
            return [self._vocabulary.event(one, key) for one in said]
        except (UndecodableError, UnwelcomeError) as error:
            raise NotTakenError(f"its reply is not published: {error}") from None


def check(answer: Answer) -> None:
    """Raise `NotTakenError` for an answer that is no success."""
    if 200 <= answer.status < 300:
        return
    reason = f"the service's own program answered {answer.status}"
    if answer.status in _AGAIN or answer.status >= 500 or answer.status < 400:
        raise NotTakenError(reason, Verdict.RETRY, retry_after(answer))
    raise NotTakenError(reason, Verdict.REFUSE)


def retry_after(answer: Answer) -> float:
    """Return how many seconds an answer asks to wait, an hour at the most; 0 where it does not say.

    Source: RFC 9110, section 10.2.3: a number of seconds, or a date.
    """
    text = answer.headers.get("retry-after", "").strip()
    if text.isdecimal() and text.isascii():
        seconds = float(text[:10])
    else:
        try:
            at = email.utils.parsedate_to_datetime(text)
            date = answer.headers.get("date")
            now = email.utils.parsedate_to_datetime(date) if date else dt.datetime.now(dt.UTC)
            seconds = (at - now) / dt.timedelta(seconds=1)
        except (ValueError, TypeError):
            return 0.0
    return max(0.0, min(seconds, _LONGEST_WAIT_SECONDS))
