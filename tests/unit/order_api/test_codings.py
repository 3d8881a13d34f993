"""Bodies that come packed: gzip is read like any other body, within the same bounds; other codings are refused."""

import gzip
import json
import time
from typing import Any

import pytest

from orderflow_order.http.webhook import sign
from support.runtime.order_desk import NOW

SECRET = "a webhook's secret"  # noqa: S105 - of these tests only
BOMB = gzip.compress(bytes(40 * 1024 * 1024))


async def send(door: Any, body: bytes, coding: str, path: str = "/orders", **headers: str) -> Any:
    """Send a body with a content coding."""
    return await door.post(path, body, idempotency_key="k1", content_encoding=coding, **headers)


def slug(answer: Any) -> str:
    """Give the problem's name."""
    return str(answer.json["type"].rsplit("/")[-1])


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip", " gzip "])
async def test_a_packed_order_is_placed(door, order, coding) -> None:
    """Packed or not, it is the same order."""
    body = json.dumps(order).encode()
    packed = await send(door, gzip.compress(body), coding)
    assert packed.status == 201, packed.body
    assert (await send(door, body, "identity")).json["id"] == packed.json["id"]


@pytest.mark.parametrize("media", ["application/json", "application/x-ndjson"])
async def test_a_packed_batch_is_placed(door, order, media) -> None:
    """Batches are what packing pays for."""
    items = [order | {"idempotencyKey": f"k{n}"} for n in range(500)]
    lines = b"\n".join(json.dumps(item).encode() for item in items)
    body = lines if "nd" in media else json.dumps(items).encode()
    answer = await send(door, gzip.compress(body), "gzip", "/orders/batch", content_type=media)
    assert [result["status"] for result in answer.json["results"]] == [201] * 500


async def test_a_packed_delivery_is_signed_as_it_was_before(door, order) -> None:
    """A signature is of the content, whoever packs it on the way."""
    body = json.dumps(order | {"idempotencyKey": "w1"}).encode()
    signature = sign(body, SECRET, NOW)
    answer = await send(door, gzip.compress(body), "gzip", "/webhooks/orders", orderflow_signature=signature)
    assert answer.status == 201


@pytest.mark.parametrize("path", ["/orders", "/orders/batch", "/webhooks/orders"])
async def test_a_bomb_is_too_large_before_it_bursts(door, path) -> None:
    """What unpacks to more than is read is refused by its size, at the cost of what is read."""
    began = time.process_time()
    answer = await send(door, BOMB, "gzip", path)
    assert time.process_time() - began < 0.5
    assert (answer.status, slug(answer)) == (413, "body-too-large")


async def test_a_body_of_exactly_the_bound_is_read(door, order) -> None:
    """The bound is that of the unpacked body, to the byte."""
    body = json.dumps(order).encode().ljust(64 * 1024)
    assert (await send(door, gzip.compress(body), "gzip")).status == 201
    assert (await send(door, gzip.compress(body + b" "), "gzip")).status == 413


WHOLE = gzip.compress(b"{}")
BROKEN = {"nothing": b"", "JSON": b"{}", "cut": WHOLE[:-1], "another sum": WHOLE[:-9] + bytes(9), "more": WHOLE + b"x"}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
async def test_what_is_no_gzip_is_refused(door, body) -> None:
    """Torn, wrong or longer than it says: a problem that tells so."""
    answer = await send(door, body, "gzip")
    assert (answer.status, slug(answer)) == (400, "malformed-gzip")


@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "gzip, gzip", "gzip, br", "nonsense", "*"])
async def test_other_codings_are_refused_by_name(door, order, coding) -> None:
    """415, with what would be read in Accept-Encoding."""
    answer = await send(door, json.dumps(order).encode(), coding)
    assert (answer.status, slug(answer)) == (415, "unsupported-content-coding")
    assert answer.headers["accept-encoding"] == "gzip, identity"
    assert coding in answer.json["detail"]
    assert not door.desk.orders
