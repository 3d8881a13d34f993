"""POST /webhooks/orders: only what is signed, fresh and new."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orderflow_order.webhook import sign
from support.order_desk import NOW

SECRET = "a webhook's secret"  # noqa: S105  (of these tests only)


@pytest.fixture
def body(order: Any) -> bytes:
    """A delivery's bytes."""
    return json.dumps(order | {"idempotencyKey": "w1"}).encode()


async def deliver(door: Any, body: bytes, signature: str | None) -> Any:
    """Send a delivery."""
    headers = {} if signature is None else {"orderflow_signature": signature}
    return await door.post("/webhooks/orders", body, **headers)


async def test_signed_delivery_places_its_order(door, body) -> None:
    """A delivery whose signature holds is placed like any order."""
    answer = await deliver(door, body, sign(body, SECRET, NOW))
    assert answer.status == 201
    assert answer.json["id"] in door.desk.orders


async def test_replayed_delivery_is_refused(door, body) -> None:
    """The very same delivery is taken once."""
    signature = sign(body, SECRET, NOW)
    await deliver(door, body, signature)
    answer = await deliver(door, body, signature)
    assert (answer.status, answer.json["type"].rsplit("/")[-1]) == (409, "replayed-delivery")


async def test_delivery_signed_anew_gives_the_same_order(door, body) -> None:
    """A sender that saw no answer signs again and gets the order it has placed."""
    first = await deliver(door, body, sign(body, SECRET, NOW))
    again = await deliver(door, body, sign(body, SECRET, NOW + timedelta(seconds=1)))
    assert (again.status, again.json["id"]) == (200, first.json["id"])


@pytest.mark.parametrize("minutes", [-6, 6, -60 * 24 * 365])
async def test_delivery_of_another_time_is_refused(door, body, minutes) -> None:
    """A signature older than five minutes, or from the future, is not taken."""
    answer = await deliver(door, body, sign(body, SECRET, NOW + timedelta(minutes=minutes)))
    assert answer.status == 401
    assert not door.desk.orders


@pytest.mark.parametrize("minutes", [-5, 5])
async def test_delivery_at_the_edge_of_the_window_is_taken(door, body, minutes) -> None:
    """Exactly five minutes are still within the window."""
    assert (await deliver(door, body, sign(body, SECRET, NOW + timedelta(minutes=minutes)))).status == 201


UNTRUSTED = [
    None,
    "",
    "nonsense",
    "t=1767268800,v1=" + "0" * 64,
    "v1=" + "0" * 64,
    "t=,v1=",
    "t=x,v1=00",
    "t=-1,v1=00",
    "t=99999999999999999999,v1=00",
    "t=²,v1=00",
    "t=1767268800,v1=é",
]


@pytest.mark.parametrize("signature", UNTRUSTED)
async def test_delivery_without_a_good_signature_is_refused(door, body, signature) -> None:
    """A signature that is missing, malformed or of another secret is a 401 problem and places nothing."""
    answer = await deliver(door, body, signature)
    assert (answer.status, answer.headers["content-type"]) == (401, "application/problem+json")
    assert not door.desk.orders


async def test_signature_covers_body_time_and_secret(door, body) -> None:
    """A signature is void for another body, another time and another secret."""
    good = sign(body, SECRET, NOW)
    moved = good.replace(str(int(NOW.timestamp())), str(int(NOW.timestamp()) + 1))
    for changed, signature in ((body + b" ", good), (body, moved), (body, sign(body, "another", NOW))):
        assert (await deliver(door, changed, signature)).status == 401


async def test_invalid_order_in_a_signed_delivery_is_refused_by_place(door) -> None:
    """A good signature does not excuse a bad order."""
    answer = await deliver(door, b"{}", sign(b"{}", SECRET, NOW))
    assert answer.status == 422
    assert "/idempotencyKey" in {error["place"] for error in answer.json["errors"]}


async def test_webhooks_without_a_secret_are_switched_off(door_without_secret, body) -> None:
    """Without a secret nothing is trusted, and the problem says what to set."""
    answer = await deliver(door_without_secret, body, sign(body, "", NOW))
    assert answer.status == 503
    assert "ORDER_WEBHOOK_SECRET" in answer.json["detail"]


def test_signature_has_the_documented_form() -> None:
    """Other languages can make it: HMAC-SHA256 in hex over the time, a dot and the body."""
    openssl = "fa7eaa06bf97d7815f3f456e97cde70c9e50cb005f01660c8d10b10c21964887"
    assert sign(b"{}", "secret", datetime(2026, 1, 1, tzinfo=UTC)) == f"t=1767225600,v1={openssl}"
