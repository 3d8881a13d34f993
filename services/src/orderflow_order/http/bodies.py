"""Reads request bodies for the API: bounded, by content type and coding, each order of a batch on its own."""

import zlib
from codecs import BOM_UTF8
from collections.abc import Iterable
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json
from starlette.requests import Request

from orderflow_order.http.problems import (
    BatchTooLarge,
    BodyTooLarge,
    InvalidOrder,
    MalformedGzip,
    MalformedJson,
    Problem,
    UnsupportedCoding,
    UnsupportedMedia,
    invalid_body,
)
from orderflow_order.http.requests import KeyedOrderRequest, OrderRequest

JSON = "application/json"
NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
MAX_ORDER_BYTES = 64 * 1024
MAX_BATCH_BYTES = 2 * 1024 * 1024
MAX_BATCH = 500
_GZIP = ("gzip", "x-gzip")
_PLAIN = ("", "identity")
_GZIP_FORMAT = zlib.MAX_WBITS | 16

R = TypeVar("R", bound=OrderRequest)
Item = KeyedOrderRequest | Problem

_batch: TypeAdapter[list[KeyedOrderRequest]] = TypeAdapter(list[KeyedOrderRequest])


async def read(request: Request, limit: int, media: Iterable[str] = (JSON,)) -> bytes:
    """Read the body, unpacked; raise `BodyTooLarge` as soon as it is over `limit` bytes, or another `Problem`."""
    if (found := content_type(request)) not in media:
        raise UnsupportedMedia(f"{found} is not read here; send {' or '.join(media)}")
    coding = ",".join(request.headers.getlist("content-encoding")).strip().lower()
    if coding not in (*_GZIP, *_PLAIN):
        raise UnsupportedCoding(f"{coding} is not unpacked here; send gzip, once, or the body as it is")
    body = await _receive(request, limit)
    return _unzip(body, limit) if coding in _GZIP else body


async def _receive(request: Request, limit: int) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
    return b"".join(chunks)


def _unzip(body: bytes, limit: int) -> bytes:
    """Unpack no more than is read; a body is one member, as HTTP clients write it."""
    unpacking = zlib.decompressobj(_GZIP_FORMAT)
    try:
        text = unpacking.decompress(body, limit + 1)
    except zlib.error as error:
        raise MalformedGzip(f"{error}; send gzip, or leave Content-Encoding out") from None
    if len(text) > limit:
        raise _too_large(limit)
    if not unpacking.eof or unpacking.unused_data:
        raise MalformedGzip("the body ends before its gzip does, or goes on behind it; send one gzip member")
    return text


def _too_large(limit: int) -> Problem:
    return BodyTooLarge(f"the body is larger than {limit} bytes; send less at a time")


def content_type(request: Request) -> str:
    """Return the media type without its parameters; JSON where the client does not say."""
    return request.headers.get("content-type", JSON).partition(";")[0].strip().lower()


def order(model: type[R], body: bytes) -> R:
    """Read one order; raise the problem that names every wrong place."""
    try:
        return model.read(body)
    except ValidationError as error:
        raise invalid_body(error) from None
    except ValueError as error:
        raise MalformedJson(f"{error}; send one JSON document in UTF-8") from None


def batch(body: bytes, media: str) -> list[Item]:
    """Read a batch; an item that is wrong becomes its problem and leaves the others alone."""
    body = body.removeprefix(BOM_UTF8)
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
