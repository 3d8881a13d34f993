"""POST /orders/batch: one commit for all, one answer for each."""

import json
import time
from typing import Any

import pytest


def keyed(order: Any, *keys: str) -> list[Any]:
    """Give the order once for each key."""
    return [order | {"idempotencyKey": key} for key in keys]


def ndjson(items: list[Any]) -> bytes:
    """Write one item a line."""
    return b"\n".join(json.dumps(item).encode() for item in items) + b"\n"


async def send(door: Any, body: bytes, content_type: str = "application/json") -> Any:
    """Send a batch."""
    return await door.post("/orders/batch", body, content_type=content_type)


@pytest.mark.parametrize("media", ["application/json; charset=utf-8", "application/x-ndjson"])
async def test_orders_of_a_batch_share_one_commit(door, order, media) -> None:
    """Every order of an array or of NDJSON lines is placed, in one group."""
    items = keyed(order, "a", "b", "c")
    body = ndjson(items) if "nd" in media else json.dumps(items).encode()
    results = (await send(door, body, media)).json["results"]
    assert [result["status"] for result in results] == [201, 201, 201]
    assert {result["id"] for result in results} == set(door.desk.orders)
    assert door.desk.groups == [3]


@pytest.mark.parametrize("media", ["application/json", "application/x-ndjson"])
async def test_invalid_items_do_not_spoil_the_others(door, order, media) -> None:
    """Each item is answered in its place: placed, or refused with its problem."""
    items = [*keyed(order, "a", "b", "c", "d"), order, 7]
    items[1] = items[1] | {"currency": "euro", "tip": 1}
    items[2] = items[2] | {"idempotencyKey": "a", "currency": "USD"}
    body = ndjson(items) if "nd" in media else json.dumps(items).encode()
    results = (await send(door, body, media)).json["results"]
    assert [result["status"] for result in results] == [201, 422, 422, 201, 422, 422]
    assert {error["place"] for error in results[1]["problem"]["errors"]} == {"/currency", "/tip"}
    assert results[2]["problem"]["type"].endswith("idempotency-key-reused")
    assert results[4]["problem"]["errors"][0]["place"] == "/idempotencyKey"


async def test_broken_line_is_refused_alone(door, order) -> None:
    """A line that is no JSON is the problem of that line."""
    good = [json.dumps(item).encode() for item in keyed(order, "a", "b")]
    answer = await send(door, b"\r\n".join([good[0], b'{"customer":', b"\xff", b"", good[1]]), "application/x-ndjson")
    assert [result["status"] for result in answer.json["results"]] == [201, 400, 400, 201]


async def test_repeated_batch_places_nothing_twice(door, order) -> None:
    """A batch sent again, or with an item twice, answers 200 with the orders that are there."""
    body = json.dumps(keyed(order, "a", "b", "a")).encode()
    first, again = (await send(door, body)).json["results"], (await send(door, body)).json["results"]
    assert [result["status"] for result in first] == [201, 201, 200]
    assert [result["status"] for result in again] == [200, 200, 200]
    assert [result["id"] for result in first] == [result["id"] for result in again]


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        (b"[]", 422, "batch-size"),
        (b"{}", 422, "invalid-order"),
        (b"[", 400, "malformed-json"),
        (b"\xff", 400, "malformed-json"),
        (b"[" * 10_000, 400, "malformed-json"),
        (b"[NaN]", 400, "malformed-json"),
        (b"[" + b" " * 2_100_000 + b"]", 413, "body-too-large"),
        (json.dumps([{}] * 501).encode(), 422, "batch-size"),
    ],
)
async def test_batch_that_is_none_is_refused_whole(door, body, status, slug) -> None:
    """What is not 1 to 500 items in at most 2 MiB is refused with a problem."""
    answer = await send(door, body)
    assert answer.status == status
    assert answer.json["type"].endswith(slug)
    assert not door.desk.orders


async def test_five_hundred_orders_of_a_megabyte_are_taken(door, order) -> None:
    """A full batch of large orders goes through within a second."""
    order["lines"] = [{"sku": f"SKU-{n:04}", "quantity": 2, "unitPrice": 300} for n in range(40)]
    body = json.dumps(keyed(order, *(f"k{n}" for n in range(500)))).encode()
    assert 1_000_000 < len(body) < 2_000_000
    began = time.process_time()
    answer = await send(door, body)
    assert time.process_time() - began < 1
    assert [result["status"] for result in answer.json["results"]] == [201] * 500
