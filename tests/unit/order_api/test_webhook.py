"""POST /webhooks/orders: only what is signed, fresh and new."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orderflow_order.http.webhook import sign
from support.runtime.order_desk import NOW

SECRET = "a webhook's secret"  # noqa: S105 - of these tests only


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


async def test_the_same_delivery_again_gives_the_same_order(door, body) -> None:
    """Who saw no answer sends the very same bytes again, and hears of the order that they made."""
    signature = sign(body, SECRET, NOW)
    first = await deliver(door, body, signature)
    again = await deliver(door, body, signature)
    assert (again.status, again.json) == (200, first.json)
    assert len(door.desk.orders) == 1


async def test_another_body_under_the_same_key_is_a_conflict(door, order, body) -> None:
    """A key names one order; which of two is meant, nobody can tell."""
    await deliver(door, body, sign(body, SECRET, NOW))
    other = json.dumps(order | {"idempotencyKey": "w1", "currency": "USD"}).encode()
    answer = await deliver(door, other, sign(other, SECRET, NOW))
    assert (answer.status, answer.json["type"].rsplit("/")[-1]) == (409, "delivery-conflict")
    assert len(door.desk.orders) == 1


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


@pytest.mark.parametrize("signed_by", ["old one", "new one"])
@pytest.mark.parametrize("known", ["old one", "old one,new one", "new one\r\nold one\n", " old one , , new one "])
async def test_secrets_may_overlap_while_they_change(new_door, body, known, signed_by) -> None:
    """A receiver that knows both secrets takes what either of them has signed; one that does not know it, refuses."""
    door = new_door(known)
    taken = signed_by in known
    assert (await deliver(door, body, sign(body, signed_by, NOW))).status == (201 if taken else 401)


@pytest.mark.parametrize("secret", ["first", "last"])
async def test_a_delivery_may_be_signed_by_several_secrets(new_door, body, secret) -> None:
    """One of its signatures is enough, in whatever place; those of other kinds are passed over."""
    door = new_door(secret)
    time, first = sign(body, "first", NOW).split(",")
    last = sign(body, "last", NOW).split(",")[1]
    for header in (f"{time},{first},{last}", f"{first}, v0=abc, v1=short, {last}, {time}"):
        assert (await deliver(door, body, header)).status in (200, 201)
    assert (await deliver(door, body, f"{time},{first[:-1]}x,{last[:-1]}x")).status == 401


@pytest.mark.parametrize(
    "write", [str.upper, str.title, lambda hexes: f"sha256={hexes}", lambda h: f"SHA256={h.upper()}"]
)
async def test_hex_may_be_written_in_any_case_and_named(door, body, write) -> None:
    """Libraries write digests in capitals too, and some put the algorithm before them."""
    time, _, digest = sign(body, SECRET, NOW).partition(",v1=")
    assert (await deliver(door, body, f"{time},v1={write(digest)}")).status == 201


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
    "t=1767268800,v1=" + "0" * 65,
    "t=1767268800,v1=sha256=",
    "t=1767268800,t=1767268801,v1=" + "0" * 64,
    "t=1767268800" + ",v1=" + ",v1=".join(f"{n:064x}" for n in range(500)),
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


@pytest.mark.parametrize("secret", [None, "", " ", ",", "\n"])
async def test_webhooks_without_a_secret_are_switched_off(new_door, body, secret) -> None:
    """Without a secret nothing is trusted, and the problem says what to set."""
    answer = await deliver(new_door(secret), body, sign(body, "", NOW))
    assert answer.status == 503
    assert "ORDER_WEBHOOK_SECRET" in answer.json["detail"]


def test_signature_has_the_documented_form() -> None:
    """Other languages can make it: HMAC-SHA256 in hex over the time, a dot and the body."""
    openssl = "fa7eaa06bf97d7815f3f456e97cde70c9e50cb005f01660c8d10b10c21964887"
    assert sign(b"{}", "secret", datetime(2026, 1, 1, tzinfo=UTC)) == f"t=1767225600,v1={openssl}"
