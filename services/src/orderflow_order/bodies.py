"""Reads request bodies for the API: bounded, by content type, each order of a batch on its own."""

from collections.abc import Iterable
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json
from starlette.requests import Request

from orderflow_order.problems import (
    BatchTooLarge,
    BodyTooLarge,
    InvalidOrder,
    MalformedJson,
    Problem,
    UnsupportedMedia,
    invalid_body,
)
from orderflow_order.requests import KeyedOrderRequest, OrderRequest

JSON = "application/json"
NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
MAX_ORDER_BYTES = 64 * 1024
MAX_BATCH_BYTES = 2 * 1024 * 1024
MAX_BATCH = 500

R = TypeVar("R", bound=OrderRequest)
Item = KeyedOrderRequest | Problem

_batch: TypeAdapter[list[KeyedOrderRequest]] = TypeAdapter(list[KeyedOrderRequest])


async def read(request: Request, limit: int, media: Iterable[str] = (JSON,)) -> bytes:
    """Read the body; raise `BodyTooLarge` as soon as it is over `limit` bytes, `UnsupportedMedia` at once."""
    if (found := content_type(request)) not in media:
        raise UnsupportedMedia(f"{found} is not read here; send {' or '.join(media)}")
    chunks, size = [], 0
    async for chunk in request.stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(f"the body is larger than {limit} bytes; send less at a time")
    return b"".join(chunks)


def content_type(request: Request) -> str:
    """Give the media type without its parameters; JSON where the client does not say."""
    return request.headers.get("content-type", JSON).partition(";")[0].strip().lower()


def order(model: type[R], body: bytes) -> R:
    """Read one order; raise the problem that names every wrong place."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise invalid_body(error) from None


def batch(body: bytes, media: str) -> list[Item]:
    """Read a batch; an item that is wrong becomes its problem and leaves the others alone."""
    items = _lines(body) if media in NDJSON else _array(body)
    if not 0 < len(items) <= MAX_BATCH:
        raise BatchTooLarge(f"the batch holds {len(items)} orders; send 1 to {MAX_BATCH}")
    return items


def _lines(body: bytes) -> list[Item]:
    lines = [line for line in body.splitlines() if line.strip()]
    return [_item(line) for line in lines[: MAX_BATCH + 1]]


def _array(body: bytes) -> list[Item]:
    try:
        return list(_batch.validate_json(body))
    except ValidationError:
        return [_item(to_json(item)) for item in _parsed(body)]


def _parsed(body: bytes) -> list[object]:
    try:
        items = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise MalformedJson(f"{error}; send one JSON array in UTF-8") from None
    if not isinstance(items, list):
        raise InvalidOrder("the body is not a JSON array of orders; send one, or NDJSON by its content type")
    return items[: MAX_BATCH + 1]


def _item(text: bytes) -> Item:
    try:
        return order(KeyedOrderRequest, text)
    except Problem as problem:
        return problem
