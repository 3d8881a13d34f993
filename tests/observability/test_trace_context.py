"""Contexts that clients send: honoured, whoever asks a second time, for one order or for many."""

import secrets

from support.flow.orders import Shop, order
from support.records.otlp import Received
from support.records.traces import KEY, order_trace, trace_ids


def client(flags: str = "01") -> tuple[str, str, dict[str, str]]:
    """A client's own span: trace, id, and the headers that tell of it."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return trace, span, {"traceparent": f"00-{trace}-{span}-{flags}", "tracestate": "client=1"}


async def test_an_order_belongs_to_the_trace_of_its_client(shop: Shop, received: Received) -> None:
    """The request hangs on the client's span, all else on the request."""
    trace_id, span, headers = client()
    placed = await shop.place_alone(order(), headers)
    await shop.until(placed)
    trace = await order_trace(received, placed)
    (root,) = trace.roots()
    assert (root.trace, root.parent, root.name) == (trace_id, span, "POST /orders")


async def test_another_client_s_cancellation_belongs_to_the_order_and_links_to_its_request(
    shop: Shop, received: Received
) -> None:
    """Two clients, two traces: the order's events stay in the first, the second request names it."""
    await shop.provider(latencyMs=1500)
    (first, _, placing), (second, _, cancelling) = client(), client()
    placed = await shop.place_alone(order(), placing)
    await shop.until(placed, "RESERVED")
    assert await shop.ask(placed, "cancel", cancelling) == 202
    assert (await shop.until(placed))["state"] == "CANCELLED"
    trace = await order_trace(received, placed)
    request = trace.only("POST /orders")
    assert request.trace == first
    assert trace.parent(trace.only("send ORDER_CANCELLED")) == request
    (cancel,) = (span for span in received.spans() if span.trace == second)
    assert cancel.links == ((first, request.id),)


async def test_an_order_that_its_client_does_not_sample_is_told_of_by_nobody(shop: Shop, received: Received) -> None:
    """Not one of its spans is sent, by any service; one placed after it is complete."""
    trace_id, _, headers = client("00")
    placed = await shop.place_alone(order(), headers)
    await shop.until(placed)
    after = await shop.place()
    await shop.until(after)
    await order_trace(received, after)
    assert not [span for span in received.spans() if span.trace == trace_id or span.attributes.get(KEY) == placed]


async def test_orders_placed_together_have_a_trace_each(shop: Shop, received: Received) -> None:
    """Five in one request: five traces, each rooted in its command."""
    orders = await shop.place_all([order() for _ in range(5)])
    for placed in orders:
        await shop.until(placed)
    traces = [await order_trace(received, placed) for placed in orders]
    assert len({trace.spans[0].trace for trace in traces}) == 5
    assert [[root.name for root in trace.roots()] for trace in traces] == [["place"]] * 5


async def test_a_request_that_is_repeated_belongs_to_the_order_it_made(shop: Shop, received: Received) -> None:
    """The same key again, without a context: answered with the order, its span under the first one's."""
    wanted = order()
    placed = await shop.place_alone(wanted, {})
    assert await shop.place_alone(wanted, {}) == placed
    await shop.until(placed)
    trace = await order_trace(received, placed)
    first, second = sorted(trace.named("POST /orders"), key=lambda span: span.began)
    assert (second.parent, len(trace.roots())) == (first.id, 1)
    assert len(trace_ids(received.spans(), placed)) == 1
