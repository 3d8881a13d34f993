"""Orders as other systems write them: their ids, their addresses, and what may stand in neither."""

import json
from typing import Any

import pytest

IDS = [
    "A/4",
    "grün & blau",
    "C++ 20%",
    "gid://shopify/ProductVariant/4712",
    "eyJhbGciOiJIUzI1NiJ9.e30.Zm9v-_A==",
    "#1001",
    "'; DROP TABLE orders; --",
    '{}\\"',
    "日本語",
    "🍎",
    "x" * 255,
]
CONTROLS = ["\0", "\n", "\t", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u2029"]
PLACES = {
    "/customer/id": lambda order, text: order["customer"].update(id=text),
    "/lines/0/sku": lambda order, text: order["lines"][0].update(sku=text),
    "/payment/token": lambda order, text: order["payment"].update(token=text),
    "/shipTo/region": lambda order, text: order["shipTo"].update(region=text),
    "/shipTo/postcode": lambda order, text: order["shipTo"].update(postcode=text),
    "/customer/name": lambda order, text: order["customer"].update(name=text),
}


async def place(door: Any, order: Any, key: str = "k1") -> Any:
    """Place an order; a key's text goes out as UTF-8, as clients send it."""
    return await door.post("/orders", json.dumps(order).encode(), idempotency_key=key.encode().decode("latin-1"))


@pytest.mark.parametrize("text", IDS)
async def test_ids_of_other_systems_are_taken_as_they_are(door, order, text) -> None:
    """Customer, article, token and key may be any text; they come back unchanged, and name one order."""
    order["customer"]["id"] = order["lines"][0]["sku"] = order["payment"]["token"] = text
    placed = await place(door, order, text)
    assert placed.status == 201, placed.body
    shown = (await door.get(placed.headers["location"])).json
    assert (shown["customer"]["id"], shown["lines"][0]["sku"]) == (text, text)
    assert door.desk.placed(placed.json["id"]).payment.token == text
    assert (await place(door, order, text)).status == 200


@pytest.mark.parametrize("text", IDS)
async def test_a_key_is_the_same_in_a_header_and_in_a_body(door, order, text) -> None:
    """Who places an order by itself and repeats it in a batch gets the same order."""
    placed = await place(door, order, text)
    batch = json.dumps([order | {"idempotencyKey": text}]).encode()
    (again,) = (await door.post("/orders/batch", batch)).json["results"]
    assert (again["status"], again["id"]) == (200, placed.json["id"])


async def test_a_long_token_is_taken(door, order) -> None:
    """Some providers' tokens are signed documents."""
    order["payment"]["token"] = "e" * 2048
    assert (await place(door, order)).status == 201


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
@pytest.mark.parametrize("where", PLACES)
async def test_control_characters_are_refused_by_place(door, order, where, control) -> None:
    """Neither ids nor names hold what ends a line or steers a terminal."""
    PLACES[where](order, f"a{control}b")
    answer = await place(door, order)
    assert (answer.status, [error["place"] for error in answer.json["errors"]]) == (422, [where])
    assert not door.desk.orders


@pytest.mark.parametrize("where", PLACES)
async def test_half_a_character_is_refused(door, order, where) -> None:
    """A lone surrogate is no text, and nothing that Postgres could store."""
    PLACES[where](order, "a\ud800b")
    assert (await place(door, order)).status in (400, 422)
    assert not door.desk.orders


@pytest.mark.parametrize("where", PLACES)
async def test_length_is_bounded(door, order, where) -> None:
    """Nothing that is named is longer than what one may reasonably name."""
    PLACES[where](order, "x" * 2049)
    answer = await place(door, order)
    assert (answer.status, [error["place"] for error in answer.json["errors"]]) == (422, [where])


@pytest.mark.parametrize("lacking", [{}, {"postcode": None, "region": None}, {"postcode": "", "region": " "}])
async def test_an_address_may_lack_postcode_and_region(door, order, lacking) -> None:
    """Not every country has them; what is empty is not there."""
    del order["shipTo"]["postcode"]
    address = dict(order["shipTo"])
    order["shipTo"] |= lacking
    placed = await place(door, order)
    assert placed.status == 201, placed.body
    assert (await door.get(placed.headers["location"])).json["shipTo"] == address


async def test_a_region_is_kept(door, order) -> None:
    """A state or province is part of the address where there is one."""
    order["shipTo"] |= {"region": "California", "country": "US"}
    placed = await place(door, order)
    assert (await door.get(placed.headers["location"])).json["shipTo"]["region"] == "California"


@pytest.mark.parametrize(
    "street",
    [
        "c/o Bo\nMain St 1\n2nd floor",
        "c/o Bo\r\nMain St 1\r\n2nd floor\r\n",
        "c/o Bo\rMain St 1\r\r2nd floor",
        ["c/o Bo", "Main St 1", "2nd floor"],
        ["c/o Bo\nMain St 1", "", "2nd floor", " "],
    ],
)
async def test_a_street_may_have_several_lines(door, order, street) -> None:
    """As one text or as a list; either way it is the same order."""
    order["shipTo"]["street"] = street
    placed = await place(door, order)
    assert placed.status == 201, placed.body
    assert (await door.get(placed.headers["location"])).json["shipTo"]["street"] == "c/o Bo\nMain St 1\n2nd floor"
    order["shipTo"]["street"] = "c/o Bo\nMain St 1\n2nd floor"
    assert (await place(door, order)).status == 200


@pytest.mark.parametrize(
    "street", ["", "\n", [], [""], ["a\x1bb"], "a\x0bb", "a\u2028b", ["x" * 600], 7, None, [["a"]]]
)
async def test_a_street_that_is_none_is_refused(door, order, street) -> None:
    """Lines are the only structure that a street has."""
    order["shipTo"]["street"] = street
    answer = await place(door, order)
    assert (answer.status, [error["place"] for error in answer.json["errors"]]) == (422, ["/shipTo/street"])


@pytest.mark.parametrize("written", ["2", "2.0", "2.000", "2E0", "0.2e1", "20e-1"])
@pytest.mark.parametrize("batch", [False, True])
async def test_a_whole_number_may_be_written_in_any_way(door, order, written, batch) -> None:
    """JSON has one kind of number: some languages write all alike, and the order is the same."""
    text = json.dumps(order | ({"idempotencyKey": "k1"} if batch else {})).replace(
        '"quantity": 2', f'"quantity": {written}'
    )
    if batch:
        answer = await door.post("/orders/batch", f"[{text}]".encode())
        placed = answer.json["results"][0]
    else:
        answer = await door.post("/orders", text.encode(), idempotency_key="k1")
        placed = answer.json | {"status": answer.status}
    assert placed["status"] == 201, answer.body
    assert door.desk.placed(placed["id"]).lines[0].quantity == 2
    assert (await place(door, order)).status == 200


@pytest.mark.parametrize("written", ["2.5", '"2"', "true", "1e400", "2.0000000000000000001", "null"])
async def test_what_is_no_whole_number_is_refused_at_its_place(door, order, written) -> None:
    """Nothing is rounded, and no text is taken for a number."""
    text = json.dumps(order).replace('"quantity": 2', f'"quantity": {written}')
    answer = await door.post("/orders", text.encode(), idempotency_key="k1")
    assert answer.status == 422
    assert [wrong["place"] for wrong in answer.json["errors"]] == ["/lines/0/quantity"]


@pytest.mark.parametrize("depth", [100, 190, 500, 30_000])
async def test_depth_beside_a_whole_number_is_refused(door, order, depth) -> None:
    """As any other body that is none."""
    text = json.dumps(order).replace('"quantity": 2', '"quantity": 2.0, "x": ' + "[" * depth + "]" * depth)
    answer = await door.post("/orders", text.encode(), idempotency_key="k1")
    assert answer.status in (400, 422)


@pytest.mark.parametrize("media", ["application/json", "application/x-ndjson"])
async def test_a_body_may_begin_with_a_byte_order_mark(door, order, media) -> None:
    """As .NET and PowerShell write text."""
    mark, keyed = b"\xef\xbb\xbf", json.dumps(order | {"idempotencyKey": "k1"}).encode()
    body = keyed if media.endswith("ndjson") else b"[" + keyed + b"]"
    answer = await door.post("/orders/batch", mark + body, content_type=media)
    assert [result["status"] for result in answer.json["results"]] == [201], answer.body
    again = await door.post("/orders", mark + json.dumps(order).encode(), idempotency_key="k1")
    assert again.status == 200
