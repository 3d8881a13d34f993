"""The documents service's HTTP API: notes and documents of an order go in, are found by their words, and come out.

A failed upload is repeated with the same Idempotency-Key: it goes on where it stopped.
"""

import hashlib
import hmac
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from orderflow_contracts.event import Identifier
from orderflow_documents import store
from orderflow_documents.bucket import Bucket, BucketError, MissingObjectError
from orderflow_documents.commands import Announce, Document, Keep, Remove, State
from orderflow_documents.events import Kind
from orderflow_documents.search import SearchAwayError, SearchIndex
from orderflow_documents.text import text_of
from orderflow_runtime import ForeignId, Intake, TooLarge, UnavailableError

logger = logging.getLogger(__name__)

MAX_NOTE_BYTES = 64 * 1024
MAX_DOCUMENT_BYTES = 10 * 1024 * 1024
_MOST_QUERY_CHARACTERS = 500
_MOST_FOUND = 200
_AT_ONCE = 100
"""Documents that one request indexes anew."""
_NAMESPACE = uuid.UUID("0f2a4e0e-5a0b-5f0e-8b3e-6b0c2d9f4a11")
"""Where document ids come from; changing it would make repeated keys store second documents."""
_id: TypeAdapter[str] = TypeAdapter(Identifier)
_key: TypeAdapter[str] = TypeAdapter(ForeignId)
_AGAIN = "try again with the same Idempotency-Key; it is safe"


class Problem(HTTPException):
    """What the API answers instead (RFC 9457): its title is the status's own, `detail` says what to do."""


def build_app(
    intake: Intake,
    bucket: Bucket,
    language: str,
    token: str | None,
    draw: Callable[[], str],
    search: SearchIndex | None = None,
) -> ASGIApp:
    """Make the API.

    `token` is what who asks has to bear (None: nothing); `draw` names objects, each time anew; `search` finds words
    (None: Postgres does).
    """
    api = Api(intake, bucket, language, token, draw, search)
    routes = [
        Route("/orders/{order_id}/notes", api.keep_note, methods=["POST"]),
        Route("/orders/{order_id}/documents", api.keep_document, methods=["POST"]),
        Route("/documents", api.find, methods=["GET"]),
        Route("/documents/index", api.index, methods=["POST"]),
        Route("/documents/{id}", api.show, methods=["GET"]),
        Route("/documents/{id}", api.remove, methods=["DELETE"]),
        Route("/documents/{id}/content", api.content, methods=["GET"]),
    ]
    handlers: Mapping[Any, Any] = {
        HTTPException: _answer_problem,
        UnavailableError: _answer_unavailable,
        BucketError: _answer_unavailable,
        SearchAwayError: _answer_unavailable,
        Exception: _answer_fault,
    }
    return Starlette(routes=routes, exception_handlers=handlers)


@dataclass(frozen=True, slots=True)
class Api:
    """The endpoints over one intake and one bucket."""

    intake: Intake
    bucket: Bucket
    language: str
    token: str | None
    draw: Callable[[], str]
    search: SearchIndex | None = None

    async def keep_note(self, request: Request) -> Response:
        """Keep free text about an order."""
        if not _media_type(request).lower().startswith("text/"):
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a note is text: send it as text/plain")
        return await self._keep(request, Kind.NOTE, MAX_NOTE_BYTES)

    async def keep_document(self, request: Request) -> Response:
        """Keep a delivery document of any type; of a text its words can be searched."""
        return await self._keep(request, Kind.DELIVERY, MAX_DOCUMENT_BYTES)

    async def _keep(self, request: Request, kind: Kind, most: int) -> Response:
        """Announce the document, write its object, keep it: whatever stops this, the same request goes on."""
        self._check(request)
        draft, body = await self._draft(request, kind, most)
        standing = await _answered(self.intake.submit(Announce(draft)))
        known = standing.document
        if (known.sha256, known.media_type) != (draft.sha256, draft.media_type):
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "this key has another document: give this one its own")
        if standing.state is State.LEAVING:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"it is just being removed; {_AGAIN}")
        if standing.state is State.STORED:
            return _json(_described(known))
        await self.bucket.put(known.object, body)
        if not await _answered(self.intake.submit(Keep(known, text_of(body, known.media_type)))):
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"it came too late to be kept; {_AGAIN}")
        return _json(_described(known), HTTPStatus.CREATED, {"location": f"/documents/{known.id}"})

    async def _draft(self, request: Request, kind: Kind, most: int) -> tuple[Document, bytes]:
        order_id, key = _order_id(request), _idempotency_key(request)
        body = await _read(request, most)
        document_id = str(uuid.uuid5(_NAMESPACE, f"{order_id}\n{kind}\n{key}"))
        document = Document(
            id=document_id,
            order_id=order_id,
            kind=kind,
            object=f"{document_id}.{self.draw()}",
            sha256=hashlib.sha256(body).hexdigest(),
            size=len(body),
            media_type=_media_type(request),
        )
        return document, body

    async def find(self, request: Request) -> Response:
        """Return the documents that match `q`, or those of `order`, newest first; `after` goes on behind one."""
        self._check(request)
        asked = request.query_params
        words, order, after = (_word(asked.get(name, ""), name) for name in ("q", "order", "after"))
        limit = _limit(asked.get("limit", "50"))
        if words:
            rows = await self._matching(words, order, after, limit)
        elif order:
            rows = await self.intake.read(store.OF_ORDER, order, after, limit)
        else:
            raise Problem(HTTPStatus.BAD_REQUEST, "say what to look for, ?q=words, or whose documents, ?order=id")
        return _json({"documents": [_told(row) for row in rows]})

    async def _matching(self, words: str, order: str, after: str, limit: int) -> Sequence[Mapping[str, Any]]:
        """Return documents whose words match: by OpenSearch where there is one that answers, else by Postgres."""
        if self.search is not None:
            try:
                objects = await self.search.find(words, order)
            except SearchAwayError as error:
                logger.warning("%s; Postgres searches instead", error)
            else:
                return await self.intake.read(store.OF_OBJECTS, objects, after, limit)
        return await self.intake.read(store.MATCHING, words, after, limit, self.language, order)

    async def index(self, request: Request) -> Response:
        """Index the next documents anew, behind `after`, in the sequence of their ids; say where to go on."""
        self._check(request)
        if self.search is None:
            raise Problem(HTTPStatus.NOT_FOUND, "no OpenSearch is named: Postgres searches, and has all words")
        rows = await self.intake.read(store.NEXT, _word(request.query_params.get("after", ""), "after"), _AT_ONCE)
        for document in map(store.document_of, rows):
            await self.search.index(document.object, document.order_id, document.media_type)
        return _json({"indexed": len(rows), "next": rows[-1]["id"] if len(rows) == _AT_ONCE else None})

    async def show(self, request: Request) -> Response:
        """Return what is known of a document."""
        self._check(request)
        return _json(_told(await self._row(request)))

    async def content(self, request: Request) -> Response:
        """Return a document's bytes, as they came: nothing else is given out."""
        self._check(request)
        document = store.document_of(await self._row(request))
        try:
            body = await self.bucket.get(document.object)
        except MissingObjectError:  # removed meanwhile, or by somebody in the store: to ask again is of no use
            raise Problem(HTTPStatus.NOT_FOUND, f"object {document.object} is no longer in the store") from None
        if hashlib.sha256(body).hexdigest() != document.sha256:
            raise Problem(HTTPStatus.INTERNAL_SERVER_ERROR, f"object {document.object} is not what was stored")
        safe = {"content-disposition": "attachment", "x-content-type-options": "nosniff"}
        return Response(body, headers=safe | {"content-type": document.media_type})

    async def remove(self, request: Request) -> Response:
        """Remove a document with its object; a second time there is none."""
        self._check(request)
        if not await _answered(self.intake.submit(Remove(_word(request.path_params["id"], "id")))):
            raise _missing(request)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _row(self, request: Request) -> Mapping[str, Any]:
        rows = await self.intake.read(store.ONE, _word(request.path_params["id"], "id"))
        if not rows:
            raise _missing(request)
        return rows[0]

    def _check(self, request: Request) -> None:
        """Refuse who does not bear the token, where one is asked for."""
        sent = request.headers.get("authorization", "").encode()
        if self.token is not None and not hmac.compare_digest(sent, f"Bearer {self.token}".encode()):
            raise Problem(
                HTTPStatus.UNAUTHORIZED, "send Authorization: Bearer and the token", {"www-authenticate": "Bearer"}
            )


async def _answered(reply: Any) -> Any:
    found = await reply
    if isinstance(found, TooLarge):
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Kafka would not take its event: {found.detail}")
    return found


def _order_id(request: Request) -> str:
    try:
        return _id.validate_python(request.path_params["order_id"])
    except ValidationError:
        raise Problem(HTTPStatus.NOT_FOUND, "that is no id of an order") from None


def _idempotency_key(request: Request) -> str:
    try:
        return _key.validate_python(request.headers.get("idempotency-key", ""))
    except ValidationError:
        words = "send an Idempotency-Key of 1 to 255 characters, each time the same"
        raise Problem(HTTPStatus.BAD_REQUEST, words) from None


def _media_type(request: Request) -> str:
    found = request.headers.get("content-type", "")
    if not (0 < len(found) <= 200 and found.isascii() and found.isprintable() and "/" in found):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "say what it is by Content-Type, such as text/plain")
    return found


async def _read(request: Request, most: int) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > most:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"it is larger than {most} bytes")
    if not size:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "it is empty")
    return b"".join(chunks)


def _word(text: str, name: str) -> str:
    if len(text) > _MOST_QUERY_CHARACTERS or "\0" in text:
        raise Problem(HTTPStatus.BAD_REQUEST, f"{name} has more than {_MOST_QUERY_CHARACTERS} characters, or a NUL")
    return text


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 0 < int(text) <= _MOST_FOUND):
        raise Problem(HTTPStatus.BAD_REQUEST, f"limit is a number from 1 to {_MOST_FOUND}")
    return int(text)


def _missing(request: Request) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "there is no such document")


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    return _described(store.document_of(row)) | {"storedAt": row["stored_at"]}


def _described(document: Document) -> dict[str, Any]:
    return {
        "id": document.id,
        "orderId": document.order_id,
        "kind": document.kind,
        "mediaType": document.media_type,
        "size": document.size,
        "sha256": document.sha256,
    }


def _json(
    content: Mapping[str, Any], status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(to_json(content), status, headers, "application/json")


async def _answer_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette's signature is wider than its registry
    told = {"status": error.status_code, "title": HTTPStatus(error.status_code).phrase, "detail": error.detail}
    return Response(to_json(told), error.status_code, error.headers, "application/problem+json")


async def _answer_unavailable(request: Request, error: Exception) -> Response:
    words = "not stored now"
    if isinstance(error, (BucketError, SearchAwayError)):
        words = f"the store of documents does not answer: {error}"
    return await _answer_problem(
        request, HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, f"{words}; {_AGAIN}", {"retry-after": "1"})
    )


async def _answer_fault(request: Request, error: Exception) -> Response:
    return await _answer_problem(request, HTTPException(HTTPStatus.INTERNAL_SERVER_ERROR, _AGAIN))
