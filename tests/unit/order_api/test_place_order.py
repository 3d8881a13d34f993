"""POST /orders and what an order then shows: idempotency, strictness, and problems that name their place."""

import json
from typing import Any

import pytest

from orderflow_order.domain import State
from orderflow_runtime.command import UnavailableError


def refused(answer: Any, status: int, slug: str) -> Any:
    """Judge a problem by RFC 9457 and give it."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert problem["type"].endswith("/" + slug)
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    return problem


async def place(door: Any, order: Any, key: str = "k1") -> Any:
    """Place an order."""
    return await door.post("/orders", json.dumps(order).encode(), idempotency_key=key)


async def test_new_order_is_created_at_its_address(door, order) -> None:
    """A valid order answers 201 with its id and state, and is found where Location says."""
    answer = await place(door, order)
    assert (answer.status, answer.json["state"]) == (201, "PENDING")
    shown = await door.get(answer.headers["location"])
    assert shown.status == 200
    assert shown.json["id"] == answer.json["id"]
    assert (shown.json["amount"], shown.json["lines"], shown.json["shipTo"]) == (600, order["lines"], order["shipTo"])


async def test_payment_token_is_never_shown(door, order) -> None:
    """What was given to pay with does not come back."""
    answer = await place(door, order)
    assert b"tok" not in (await door.get(answer.headers["location"])).body


async def test_same_key_and_body_give_the_same_order(door, order) -> None:
    """A repeat answers 200 with the first order, even when its body is written differently."""
    first = await place(door, order)
    again = await place(door, dict(reversed(order.items())) | {"allowPartial": False})
    assert (again.status, again.json["id"]) == (200, first.json["id"])
    assert len(door.desk.orders) == 1


async def test_same_key_with_another_body_is_refused(door, order) -> None:
    """A key that belongs to another order of the same customer is a problem, and places nothing."""
    await place(door, order)
    refused(await place(door, order | {"currency": "USD"}), 422, "idempotency-key-reused")
    assert len(door.desk.orders) == 1


async def test_two_customers_may_use_the_same_key(door, order) -> None:
    """A key is unique for its customer only."""
    one = await place(door, order)
    two = await place(door, order | {"customer": order["customer"] | {"id": "c2"}})
    assert two.status == 201
    assert one.json["id"] != two.json["id"]


@pytest.mark.parametrize("key", [None, "", "x" * 256, "a\tb", "a\x85b"])
async def test_order_without_a_usable_key_is_refused(door, order, key) -> None:
    """The Idempotency-Key is required: 1 to 255 characters, none of which is a control character."""
    headers = {} if key is None else {"idempotency_key": key}
    refused(await door.post("/orders", json.dumps(order).encode(), **headers), 400, "missing-idempotency-key")


CHANGES = {
    "/lines/0/quantity": lambda o: o["lines"][0].update(quantity="2"),
    "/lines/0/unitPrice": lambda o: o["lines"][0].update(unitPrice=-1),
    "/lines/0/unit_price": lambda o: o["lines"][0].update(unit_price=1),
    "/lines": lambda o: o.update(lines=[]),
    "/customer/email": lambda o: o["customer"].update(email="nobody"),
    "/customer/name": lambda o: o["customer"].update(name="A\x00B"),
    "/customer/vip": lambda o: o["customer"].update(vip=True),
    "/currency": lambda o: o.pop("currency"),
    "/payment/card": lambda o: o["payment"].update(card="4111"),
    "/shipTo/country": lambda o: o["shipTo"].update(country="Belgium"),
    "/allowPartial": lambda o: o.update(allowPartial="yes"),
    "/discount": lambda o: o.update(discount=5),
    "/a~1b~0c": lambda o: o.update({"a/b~c": 5}),
    "/shipTo/street": lambda o: o["shipTo"].update(street=["Main St 1", 2]),
}


@pytest.mark.parametrize("where", CHANGES)
async def test_wrong_place_is_named(door, order, where) -> None:
    """A field that is wrong, missing or unknown is refused with its JSON pointer, and no other."""
    CHANGES[where](order)
    problem = refused(await place(door, order), 422, "invalid-order")
    assert [error["place"] for error in problem["errors"]] == [where]
    assert not door.desk.orders


async def test_lines_that_cost_too_much_together_are_refused(door, order) -> None:
    """A total that could never be charged is refused at the door."""
    order["lines"] = [{"sku": "gold", "quantity": 1_000_000, "unitPrice": 10**12}]
    problem = refused(await place(door, order), 422, "invalid-order")
    assert problem["errors"][0]["place"] == "/lines"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a":NaN}', b"[" * 10_000, b'{"a":"\\ud800"}'])
async def test_body_that_is_not_json_is_refused(door, body) -> None:
    """Broken bytes are a problem of their own, and never a fault of ours."""
    answer = await door.post("/orders", body, idempotency_key="k1")
    assert answer.status in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_body_of_another_type_is_refused(door) -> None:
    """A form is not an order."""
    answer = await door.post("/orders", b"a=1", idempotency_key="k", content_type="application/x-www-form-urlencoded")
    refused(answer, 415, "unsupported-media-type")


async def test_body_that_is_too_large_is_refused_unread(door) -> None:
    """More than 64 KiB is no single order."""
    refused(await door.post("/orders", b" " * 70_000, idempotency_key="k"), 413, "body-too-large")


@pytest.mark.parametrize("path", ["/orders/x", "/orders/" + "0" * 36, "/orders/" + "\x00" * 36, "/orders/x/timeline"])
async def test_unknown_order_is_not_found(door, path) -> None:
    """An id that names no order, or could not, is a 404 problem."""
    refused(await door.get(path), 404, "order-not-found")


async def test_unknown_address_and_method_are_problems_too(door) -> None:
    """Even the router's own refusals are problem details."""
    refused(await door.get("/nothing"), 404, "not-found")
    answer = await door.get("/orders")
    refused(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"


async def test_cancel_is_accepted_and_may_be_repeated(door, order) -> None:
    """Cancelling answers 202 with the new state, twice the same."""
    placed = await place(door, order)
    path = f"/orders/{placed.json['id']}/cancel"
    for _ in range(2):
        answer = await door.post(path)
        assert (answer.status, answer.json["state"], answer.json["reason"]) == (202, "CANCELLING", "CUSTOMER")


@pytest.mark.parametrize("state", [State.SHIPPED, State.COMPLETED])
async def test_cancel_of_an_order_on_its_way_is_refused(door, order, state) -> None:
    """What is shipped can only be returned, and the problem says so."""
    placed = await place(door, order)
    door.desk.force(placed.json["id"], state)
    problem = refused(await door.post(f"/orders/{placed.json['id']}/cancel"), 409, "order-state")
    assert "return" in problem["detail"]


async def test_resume_is_for_failed_compensations_only(door, order) -> None:
    """Resuming asks everyone again where a compensation failed, and is refused elsewhere."""
    order_id = (await place(door, order)).json["id"]
    refused(await door.post(f"/orders/{order_id}/resume"), 409, "order-state")
    await door.post(f"/orders/{order_id}/cancel")
    door.desk.force(order_id, State.COMPENSATION_FAILED)
    answer = await door.post(f"/orders/{order_id}/resume")
    assert (answer.status, answer.json["state"]) == (202, "CANCELLING")
    assert (await door.get(f"/orders/{order_id}")).json["attempt"] == 2


@pytest.mark.parametrize("what", ["cancel", "resume"])
async def test_decision_on_an_unknown_order_is_not_found(door, what) -> None:
    """There is nothing to decide where there is no order."""
    refused(await door.post(f"/orders/{'0' * 36}/{what}"), 404, "order-not-found")


async def test_timeline_tells_what_happened_in_order(door, order) -> None:
    """The history begins with the order and ends with the last decision."""
    order_id = (await place(door, order)).json["id"]
    await door.post(f"/orders/{order_id}/cancel")
    timeline = (await door.get(f"/orders/{order_id}/timeline")).json
    assert [entry["what"] for entry in timeline["entries"]] == ["ORDER_CREATED", "ORDER_CANCELLED"]
    assert timeline["state"] == "CANCELLING"


async def test_outage_is_a_problem_that_invites_a_retry(door, order) -> None:
    """When orders cannot be stored the answer is 503 with Retry-After; the key makes the retry safe."""
    door.desk.fault = UnavailableError("Postgres is away")
    answer = await place(door, order)
    refused(answer, 503, "unavailable")
    assert answer.headers["retry-after"]


async def test_fault_of_ours_is_a_problem_without_its_inside(door, order) -> None:
    """An unexpected fault answers 500 and tells nothing of itself."""
    door.desk.fault = RuntimeError("secret detail")
    answer = await place(door, order)
    refused(answer, 500, "internal-error")
    assert b"secret detail" not in answer.body
