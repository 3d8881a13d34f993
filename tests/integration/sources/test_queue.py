"""A queue of RabbitMQ as a source of orders: each once, whatever dies, and no message lost or in the way."""

import asyncio
import random
from collections.abc import Sized
from datetime import timedelta
from functools import partial

import aio_pika
import pamqp.commands
import pamqp.encode
import pytest

from orderflow_runtime import UnavailableError
from support.flow.queue_bench import Bench, order
from support.tools.certificates import certificates
from support.tools.portion import Portion

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_each_message_becomes_one_order_through_kills_of_source_and_broker(bench: Bench, chaos: Portion) -> None:
    """Duplicates, SIGKILL of the source at any time, then of the broker: as many orders as ids, and the queue empty."""
    size, draw = chaos.size(1000), random.Random(5)
    ids, placed = [f"m{number}" for number in range(size)], bench.server.desk.orders
    first, rest = ids[: size // 2], ids[size // 2 :]
    await bench.publish(*map(order, first + draw.sample(first, size // 20)))
    for turn in range(1, 4):
        bench.start()
        await bench.until(partial(reached, placed, turn * size // 10), "some orders placed")
        await asyncio.sleep(draw.random() / 50)
        bench.kill()
    bench.start()
    bench.broker.kill()
    bench.broker.start()
    await bench.publish(*map(order, rest + draw.sample(ids, size // 20)))
    await bench.until(lambda: len(bench.server.desk.orders) == size, "all orders placed")
    await bench.until(lambda: is_empty(bench), "the queue is empty, nothing in hand")
    assert await bench.refusals() == []
    assert len(bench.server.desk.orders) == size


async def test_a_message_that_is_refused_is_kept_with_its_reason_and_holds_up_nobody(bench: Bench) -> None:
    """Broken JSON, a wrong place, another order under a used id, a type nobody reads: each kept as it came."""
    bad = [
        aio_pika.Message(b"{", message_id="bad-json", user_id="guest", expiration=timedelta(hours=1)),
        aio_pika.Message(b"{}", message_id="empty", headers={"CC": [bench.queue], "shop": "ghent"}, correlation_id="c"),
        aio_pika.Message(order("good").body.replace(b"apple", b"pear"), message_id="good"),
        order("xml", content_type="text/xml"),
        aio_pika.Message(b" " * 70_000, message_id="too-large"),
    ]
    await bench.publish(order("good"), *bad, order("behind"))
    bench.start()
    await bench.until(lambda: is_empty(bench), "all settled")
    kept = await bench.refusals()
    reasons = {message.message_id: str(message.headers["orderflow-reason"]) for message in kept}
    assert len(bench.server.desk.orders) == 2
    assert len(kept) == len(bad), "no copy follows CC"
    said = {"bad-json": "400", "empty": "/customer", "good": "idempotency key", "xml": "415", "too-large": "413"}
    assert [one for one, words in said.items() if words not in reasons[one]] == []
    one = next(message for message in kept if message.message_id == "empty")
    assert (one.body, one.headers["shop"], one.correlation_id, one.expiration) == (b"{}", "ghent", "c", None)
    assert await bench.counted("refused") == len(kept)


@pytest.mark.parametrize(
    "poison",
    [
        {"timestamp": 1_764_370_000_000_000_000},
        {"message_id": b"\xff\xfe"},
        {"headers": {"large": 2**63 - 1, "none": None, "nested": {"list": [1, "a"]}}, "message_id": "odd"},
        {"message_id": b"\xff" * 255},
        {"headers": {"of a name": 1}},
    ],
)
async def test_what_a_publisher_writes_wrongly_stops_nobody(
    bench: Bench, poison: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times in nanoseconds, names that are no UTF-8: the message is taken or kept, and the next one goes on."""
    await publish_raw(bench, order("x").body, poison, monkeypatch)
    await bench.publish(order("behind"))
    bench.start()
    await bench.until(lambda: is_empty(bench), "all settled", 20)
    kept = await bench.refusals()
    assert len(kept) + len(bench.server.desk.orders) == 2
    assert all(message.body == order("x").body for message in kept)


async def test_while_the_service_is_away_messages_wait_and_nothing_is_refused(bench: Bench) -> None:
    """Answers of 503: the source says whom it waits for, holds no more than prefetch, and goes on by itself."""
    bench.server.desk.fault = UnavailableError()
    await bench.publish(*(order(f"w{number}") for number in range(30)))
    bench.start()
    await bench.until(lambda: bench_says(bench, "takes no messages"), "it says that it waits")
    assert await bench.left() == 10, "30 less the 20 of prefetch"
    asked = len(bench.server.seen)
    await asyncio.sleep(1)
    assert len(bench.server.seen) - asked < 100, "waits grow"
    bench.server.desk.fault = None
    await bench.until(lambda: len(bench.server.desk.orders) == 30, "all placed")
    await bench.until(lambda: bench_says(bench, "ok"), "nothing hinders it")
    assert await bench.refusals() == []


async def test_a_message_s_trace_goes_on_and_its_id_is_the_key(bench: Bench) -> None:
    """traceparent and tracestate become the request's; what is none is left out."""
    await bench.publish(
        order("t1", headers={"traceparent": TRACE, "tracestate": "a=b"}), order("t2", headers={"traceparent": 7})
    )
    bench.start()
    await bench.until(lambda: len(bench.server.desk.orders) == 2, "both placed")
    seen = {headers["idempotency-key"].rpartition("/")[2]: headers for headers in bench.server.seen}
    first, second = seen["t1"], seen["t2"]
    assert (first["traceparent"], first["tracestate"]) == (TRACE, "a=b")
    assert "traceparent" not in second


async def test_a_queue_that_is_not_there_is_waited_for_and_named(bench: Bench) -> None:
    """Without its queue the source is not ready and says why; once that is made it takes messages, and again after."""
    made, bench.queue = bench.queue, f"{bench.queue}-later"
    bench.start()
    await bench.until(lambda: bench_says(bench, bench.queue), "it names the queue")
    await bench.publish(order("first"))
    await bench.until(lambda: len(bench.server.desk.orders) == 1, "taken")
    await delete(bench)
    await bench.until(lambda: bench_says(bench, "no queue"), "the queue was deleted under it")
    await bench.publish(order("second"))
    await bench.until(lambda: len(bench.server.desk.orders) == 2, "taken again")
    assert made != bench.queue


async def test_refused_messages_are_kept_though_their_queue_went_away_under_the_source(bench: Bench) -> None:
    """More than prefetch of them while it is gone: it is made anew, all are kept, and what is good goes on."""
    bench.start()
    await bench.publish(order("first"))
    await bench.until(lambda: is_empty(bench), "it takes messages")
    await delete(bench, bench.refused)
    ids = {f"bad-{number}" for number in range(25)}
    await bench.publish(*(aio_pika.Message(b"{", message_id=one, delivery_mode=2) for one in sorted(ids)))
    await bench.publish(order("behind"))
    await bench.until(lambda: is_settled(bench), "all settled", 20)
    assert {message.message_id for message in await bench.refusals()} == ids
    assert len(bench.server.desk.orders) == 2


async def test_over_tls_only_the_broker_that_the_authority_signs_is_believed(bench: Bench) -> None:
    """By another authority it is not reached, and that is said; by the right one messages are taken."""
    await bench.publish(order("t1"))
    bench.start(bench.broker.secure_uri, certificates()[0])
    await bench.until(lambda: bench_says(bench, "cannot be reached"), "it says so")
    bench.kill()
    assert bench.server.desk.orders == {}
    bench.start(bench.broker.secure_uri, bench.broker.authority)
    await bench.until(lambda: len(bench.server.desk.orders) == 1, "taken")


async def test_a_header_may_name_the_message(bench: Bench) -> None:
    """Two messages of one number are one order, whatever their ids; without the header it is kept as refused."""
    numbered = [order("a", message_id=f"id-{number}", headers={"order-no": 7}) for number in range(2)]
    await bench.publish(*numbered, order("b"))
    bench.start(keyHeader="order-no")
    await bench.until(lambda: is_empty(bench), "all settled")
    assert len(bench.server.desk.orders) == 1
    (kept,) = await bench.refusals()
    assert "order-no is missing" in str(kept.headers["orderflow-reason"])


async def test_killed_between_keeping_a_refused_message_and_its_acknowledgement_none_is_lost(bench: Bench) -> None:
    """SIGKILL again and again, while messages are refused, each time a little later: each is kept, once more a kill."""
    ids = {f"bad-{number}" for number in range(60)}
    await bench.publish(*(aio_pika.Message(b"{", message_id=one, delivery_mode=2) for one in sorted(ids)))
    kills = 0
    while await bench.left() or not kills:
        bench.start()
        await bench.until(lambda: bench_says(bench, "ok"), "it takes messages")
        await asyncio.sleep(0.005 * kills)
        bench.kill()
        kills += 1
    bench.start()
    await bench.until(lambda: is_settled(bench), "all settled")
    kept = [str(message.message_id) for message in await bench.refusals()]
    assert set(kept) == ids
    assert len(kept) - len(ids) <= kills * 20, "as many as were in hand"


async def test_a_broker_that_freezes_and_goes_on_loses_and_doubles_nothing(bench: Bench) -> None:
    """Stopped in the middle for two seconds: acknowledgements arrive late, and the count is exact."""
    ids = [f"f{number}" for number in range(200)]
    await bench.publish(*map(order, ids))
    bench.start()
    await bench.until(lambda: len(bench.server.desk.orders) > 20, "some placed")
    bench.broker.freeze()
    await asyncio.sleep(2)
    bench.broker.thaw()
    await bench.until(lambda: is_empty(bench), "all settled")
    assert len(bench.server.desk.orders) == len(ids)


@pytest.mark.chaos
async def test_a_wrong_password_ends_the_source_with_its_code(bench: Bench) -> None:
    """After 30 s the process ends, so that the next reads the Secret anew; its last line shows no password."""
    bench.broker.uri, right = bench.broker.uri.replace("guest:guest", "guest:secret-word"), bench.broker.uri
    try:
        bench.start()
        assert bench.source is not None
        await bench.until(lambda: bench_says(bench, "let it in"), "it says why it is not ready")
        code = await asyncio.to_thread(bench.source.wait, 60)
    finally:
        bench.broker.uri = right
    last = (bench.folder / "log").read_text().splitlines()[-1]
    assert (code, "does not let" in last, "secret-word" in last) == (77, True, False), last


def reached(placed: Sized, number: int) -> bool:
    """Whether there are so many."""
    return len(placed) >= number


async def is_empty(bench: Bench) -> bool:
    """Whether nothing waits in the queue and the source has nothing in hand."""
    _, page = await bench.asked("/metrics")
    settled = sum([await bench.counted(outcome) for outcome in ("accepted", "repeated", "refused")])
    return "orderflow_source_in_hand 0.0" in page and settled > 0 and await bench.left() == 0


async def is_settled(bench: Bench) -> bool:
    """Whether the source is there, has nothing in hand, and nothing waits."""
    _, page = await bench.asked("/metrics")
    return "orderflow_source_in_hand 0.0" in page and await bench_says(bench, "ok") and await bench.left() == 0


async def bench_says(bench: Bench, words: str) -> bool:
    """Whether the source says so of its readiness."""
    return words in (await bench.asked("/readyz"))[1]


async def delete(bench: Bench, queue: str = "") -> None:
    """Delete the queue, or another."""
    async with await aio_pika.connect(bench.broker.uri) as connection:
        await (await connection.channel()).queue_delete(queue or bench.queue)


async def publish_raw(
    bench: Bench, body: bytes, properties: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Send a message as a careless client writes it: text as any bytes, a time as any number."""
    with monkeypatch.context() as patch:
        patch.setitem(pamqp.encode.METHODS, "shortstr", lambda value: _short(value))
        patch.setattr(pamqp.encode, "short_string", lambda value: _short(value).replace(b"of a name", b"of a n\xffme"))
        patch.setitem(pamqp.encode.METHODS, "timestamp", lambda value: value.to_bytes(8, "big"))
        async with await aio_pika.connect(bench.broker.uri) as connection:
            channel = await (await connection.channel()).get_underlay_channel()
            named = pamqp.commands.Basic.Properties(delivery_mode=2)
            for name, value in ({"message_id": "odd"} | properties).items():
                setattr(named, name, value)
            await channel.basic_publish(body, routing_key=bench.queue, properties=named)


def _short(value: str | bytes) -> bytes:
    raw = value if isinstance(value, bytes) else value.encode()
    return bytes([len(raw)]) + raw
