"""Events that the program says by itself: POST /events, and Dapr's way to publish, of the dispatcher's own port.

Only who is on this machine (in this pod) may ask. What was taken is answered after its commit; the same event, by
source and id, is published once, however often it comes.
"""

import hashlib
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from orderflow_contracts.event import UndecodableError
from orderflow_contracts.raw_event import RawEvent
from orderflow_push import cloud_events
from orderflow_push.cloud_events import JSON, Said
from orderflow_push.contracts import UnwelcomeError, Vocabulary
from orderflow_runtime import (
    Command,
    Intake,
    Reply,
    Submitted,
    TooLarge,
    TooManyCommandsError,
    Transaction,
    UnavailableError,
)

MOST_BODY_BYTES = 64 * 1024 * 1024
_LOOPBACK = ("127.", "::1", "::ffff:127.")
_DOOR = int.from_bytes(hashlib.blake2b(b"POST /events", digest_size=8).digest()) >> 1
"""Stands as the source of what came in here, so that the inbox remembers it and takes it for no event of a topic."""
_REMEMBER = """
INSERT INTO inbox (id, source) SELECT id, $2 FROM unnest($1::uuid[]) AS id ON CONFLICT DO NOTHING RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Publish(Command[bool]):
    """That an event be published, once for its identity: whether it is new is the reply."""

    NAME = "publish"
    event: RawEvent
    identity: uuid.UUID

    @property
    def key(self) -> str:
        """Return the event's key."""
        return self.event.key


async def publish(commands: Sequence[Submitted[Publish]], tx: Transaction) -> list[Reply[bool]]:
    """Publish what was not published before."""
    asked = [one.command for one in commands]
    rows = await tx.fetch(_REMEMBER, [one.identity for one in asked], _DOOR)
    new = {uuid.UUID(int=row["id"].int) for row in rows}
    replies = []
    for one in asked:
        is_new = one.identity in new
        new.discard(one.identity)
        replies.append(Reply(is_new, (one.event,) if is_new else ()))
    return replies


def make_app(vocabulary: Vocabulary, topics: Mapping[str, str], intake: Intake) -> ASGIApp:
    """Return the API before an intake; `topics` are the published events' names by all that a topic may be called."""
    door = _Door(vocabulary, topics, intake)
    return Starlette(
        routes=[
            Route("/events", _answering(door.take_events), methods=["POST"]),
            Route("/v1.0/publish/{pubsub}/{topic:path}", _answering(door.take_data), methods=["POST", "PUT"]),
            Route("/v1.0/healthz", _healthy),
            Route("/v1.0/healthz/outbound", _healthy),
        ]
    )


class _Door:
    def __init__(self, vocabulary: Vocabulary, topics: Mapping[str, str], intake: Intake) -> None:
        self._vocabulary = vocabulary
        self._topics = topics
        self._intake = intake

    async def take_events(self, request: Request) -> Response:
        """Take CloudEvents in any mode."""
        said = cloud_events.read(dict(request.headers), await _body(request))
        if said is None:
            raise UndecodableError(
                f"no CloudEvent: say it by ce- headers, or as {cloud_events.STRUCTURED} or {cloud_events.BATCH}"
            )
        return await self._submit(said, 202)

    async def take_data(self, request: Request) -> Response:
        """Take an event as Dapr does: its data, or a whole CloudEvent, for a topic.

        Without metadata.partitionKey or a key of its own it is by itself: its id is its key.
        """
        topic, body = request.path_params["topic"], await _body(request)
        if (event := self._topics.get(topic)) is None:
            known = ", ".join(sorted(self._topics)) or "none"
            raise UnwelcomeError(f"the service publishes nothing on topic {topic[:100]} (it has {known})")
        said = cloud_events.read(dict(request.headers), body) or [_said_of(request, body)]
        key = request.query_params.get("metadata.partitionKey")
        return await self._submit([replace(one, type=event, partition_key=_key(one, key)) for one in said], 204)

    async def _submit(self, said: Sequence[Said], status: int) -> Response:
        events = [self._vocabulary.event(one, one.subject) for one in said]
        asked = [Publish(event, _identity(one)) for event, one in zip(events, said, strict=True)]
        for reply in await self._intake.submit_all(asked):
            if isinstance(reply, TooLarge):
                return _refusal(413, reply.detail)
        return Response(status_code=status)


class _TooLongError(Exception):
    """A body has more bytes than are read."""


def _answering(take: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that says what is wrong with a request, to who may ask."""

    async def answer(request: Request) -> Response:
        if request.client is None or not request.client.host.startswith(_LOOPBACK):
            return _refusal(403, "events are taken from the service's own program, which is on this machine, alone")
        try:
            return await take(request)
        except UndecodableError as error:
            return _refusal(400, str(error))
        except UnwelcomeError as error:
            return _refusal(422, str(error))
        except (_TooLongError, TooManyCommandsError) as error:
            return _refusal(413, str(error))
        except UnavailableError as error:
            return _refusal(503, str(error), {"retry-after": "1"})

    return answer


def _refusal(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"detail": detail}, status, headers, media_type="application/problem+json")


async def _healthy(request: Request) -> Response:
    return Response(status_code=204)


async def _body(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MOST_BODY_BYTES:
            raise _TooLongError(f"the request has more than {MOST_BODY_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _said_of(request: Request, body: bytes) -> Said:
    """Return the event that Dapr would make of data: a new one for each request."""
    headers = {
        "content-type": request.headers.get("content-type", JSON),
        "ce-specversion": "1.0",
        "ce-id": str(uuid.uuid4()),
        "ce-source": "/dapr",
        "ce-type": "com.dapr.event.sent",
    }
    [said] = cloud_events.read(headers, body) or []
    return said


def _key(said: Said, given: str | None) -> str:
    return given or said.partition_key or said.subject or said.id[: cloud_events.MAX_KEY]


def _identity(said: Said) -> uuid.UUID:
    digest = hashlib.blake2b(f"{said.source}\n{said.id}".encode(), digest_size=16).digest()
    return uuid.UUID(bytes=digest)
