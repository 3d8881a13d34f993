"""Whatever becomes of an order, it is one connected trace, and every span hangs on what caused it."""

import asyncio
import signal

import pytest

from support.flow.orders import Shop, order
from support.records.otlp import Received
from support.records.traces import OrderTrace, order_trace

UNDONE = ("send ORDER_CANCELLED", "send STOCK_RESTORED")


async def test_a_completed_order_is_one_trace_from_the_request_to_the_last_notice(
    shop: Shop, received: Received
) -> None:
    """Every event is sent once, processed once by each subscriber, and the provider's call hangs on its handler."""
    placed = await shop.place_alone(order(), {})
    assert (await shop.until(placed))["state"] == "COMPLETED"
    trace = await _whole(received, placed)
    assert [(root.name, root.kind, root.service) for root in trace.roots()] == [("POST /orders", "SERVER", "order")]
    subscribers = {s.name: s.subscribes for s in shop.fleet.flow.spec.services}
    for sent in (span for span in trace.spans if span.kind == "PRODUCER"):
        event = sent.name.removeprefix("send ")
        below = sorted(span.service for span in trace.spans if span.parent == sent.id)
        assert below == sorted(name for name, events in subscribers.items() if event in events), event
    assert sum(span.kind == "PRODUCER" for span in trace.spans) == 6
    call = trace.only("perform capture", "payment")
    assert trace.parent(call) == trace.only("process STOCK_RESERVED", "payment")
    assert trace.parent(trace.only("process call/capture")) == trace.parent(call)


@pytest.mark.parametrize(
    ("wishes", "state", "names"),
    [
        ({"lines": [("NO-SUCH-THING", 1, 100)]}, "CANCELLED", ("send OUT_OF_STOCK", "send ORDER_CANCELLED")),
        ({"lines": [("SKU-0001", 1, 100), ("NO-SUCH-THING", 1, 100)], "partial": True}, "COMPLETED", ()),
        ({"card": "tok_declined"}, "CANCELLED", ("send PAYMENT_FAILED", *UNDONE)),
        ({"card": "tok_lost"}, "COMPLETED", ("perform capture", "lookup capture")),
        ({"card": "tok_lost_declined"}, "CANCELLED", ("lookup capture", "send PAYMENT_FAILED")),
        ({"country": "XX"}, "CANCELLED", ("send SHIPMENT_FAILED", "send PAYMENT_REFUNDED", "perform refund", *UNDONE)),
    ],
    ids=["out of stock", "partly in stock", "declined", "answer lost", "answer lost, declined", "no carrier"],
)
async def test_every_fate_is_one_trace(
    shop: Shop, received: Received, wishes: dict[str, object], state: str, names: tuple[str, ...]
) -> None:
    """Orders of each fate, placed as a batch of one: compensations hang on what they undo for."""
    placed = await shop.place(**wishes)
    assert (await shop.until(placed))["state"] == state
    trace = await _whole(received, placed)
    missing = [name for name in names if not trace.named(name)]
    assert not missing, f"{missing}: {trace}"


async def test_a_call_whose_answer_is_lost_is_a_failed_span_and_the_question_after_it_another(
    shop: Shop, received: Received
) -> None:
    """Both hang on the handler that wanted the money; the attributes say what HTTP said."""
    placed = await shop.place(card="tok_lost")
    await shop.until(placed)
    trace = await _whole(received, placed)
    lost = trace.named("perform capture")[0]
    assert (lost.failed, lost.kind, lost.attributes["error.type"]) == (True, "CLIENT", "OutcomeUnknownError")
    asked = [span for span in trace.named("lookup capture") if not span.failed]
    assert asked[-1].attributes["http.response.status_code"] == 200
    assert {span.parent for span in (lost, *asked)} == {trace.only("process STOCK_RESERVED", "payment").id}


async def test_a_cancellation_while_the_payment_runs_is_part_of_the_order_s_trace(
    shop: Shop, received: Received
) -> None:
    """The customer's second request, without a context of its own, hangs on the first."""
    await shop.provider(latencyMs=1500)
    placed = await shop.place_alone(order(), {})
    await shop.until(placed, "RESERVED")
    assert await shop.ask(placed, "cancel") == 202
    assert (await shop.until(placed))["state"] == "CANCELLED"
    trace = await _whole(received, placed)
    assert len(trace.roots()) == 1
    cancel = trace.only("POST /orders/{order_id}/cancel")
    assert trace.parent(cancel) == trace.only("POST /orders")
    assert trace.parent(trace.only("send ORDER_CANCELLED")) == cancel


async def test_a_failed_compensation_and_its_resumption_are_part_of_the_order_s_trace(
    shop: Shop, received: Received
) -> None:
    """Resumed by a person, the refund goes out again, and all of it is one trace."""
    placed = await shop.place(card="tok_refund_rejected", country="XX")
    await shop.until(placed, "COMPENSATION_FAILED")
    await shop.provider(refuseRefunds=False)
    assert await shop.ask(placed, "resume") == 202
    assert (await shop.until(placed, "CANCELLED"))["undo"] == []
    trace = await _whole(received, placed)
    assert len(trace.named("send ORDER_CANCELLED")) == 2
    assert trace.parent(trace.only("POST /orders/{order_id}/resume")) == trace.only("POST /orders/batch")


async def test_notices_that_come_late_are_part_of_the_trace(shop: Shop, received: Received) -> None:
    """Notification is away while the order completes; what it hears later hangs on what was sent then."""
    shop.fleet.kill("notification-0", signal.SIGTERM)
    placed = await shop.place()
    assert (await shop.until(placed))["state"] == "COMPLETED"
    await shop.fleet.until_ready(shop.fleet.start("notification"))
    await asyncio.sleep(1)
    trace = await _whole(received, placed)
    assert len([span for span in trace.spans if span.service == "notification" and span.kind == "CONSUMER"]) == 6


async def _whole(received: Received, placed: str) -> OrderTrace:
    """Give an order's trace: one, in one piece, from one root, everything in its place."""
    trace = await order_trace(received, placed)
    assert len(trace.roots()) == 1, trace
    assert not trace.misplaced(), f"{trace.misplaced()}: {trace}"
    return trace
