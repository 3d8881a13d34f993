"""How traces leave: sampled in part, by HTTP, by links instead of parents, past a deadline, and to nobody at all."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable

from orderflow_cli.servers.ports import free_port
from orderflow_model.service_config import TracingConfig
from orderflow_runtime.tracing.span_queue import SpanQueue
from orderflow_runtime.tracing.tracer import Tracer
from support.flow.fleet import until
from support.flow.orders import Shop, order
from support.records.otlp import Received, grpc_collector, http_collector
from support.records.traces import KEY, OrderTrace, order_trace, spans_of, traces_of

COMPLETED = (6, 13)
"""The events that an order which completes sends, and how often they are processed."""
Again = Callable[..., Awaitable[None]]


async def test_a_tenth_of_the_orders_is_traced_whole_and_the_others_not_at_all(shop: Shop, again: Again) -> None:
    """Of 400 orders about 40 have all the spans of a completed order, over HTTP; of the others there is not one."""
    received = Received()
    with http_collector(received) as endpoint:
        await again(tracing={"endpoint": endpoint, "protocol": "Http", "sampling": "10"})
        orders = await shop.place_all([order() for _ in range(400)])
        for placed in orders:
            assert (await shop.until(placed))["state"] == "COMPLETED"
        chosen = {placed for placed in orders if _chosen(shop.fleet.flow.metadata.name, placed)}
        for placed in chosen:
            await order_trace(received, placed)
    sampled = {str(span.attributes[KEY]) for span in received.spans() if KEY in span.attributes}
    assert sampled == chosen
    assert 15 <= len(chosen) <= 70  # four standard deviations
    assert {_messages(trace) for trace in traces_of(received.spans()).values()} == {COMPLETED}


def _messages(trace: OrderTrace) -> tuple[int, int]:
    """Count events sent and processed. Calls are not counted: notices of several orders may share one."""
    kinds = [span.kind for span in trace.spans]
    return kinds.count("PRODUCER"), kinds.count("CONSUMER")


def _all_there(received: Received, number: int) -> bool:
    """Tell whether so many traces are complete: each service asks again at its own times."""
    return [_messages(trace) for trace in traces_of(received.spans()).values()] == [COMPLETED] * number


def _chosen(flow: str, placed: str) -> bool:
    tracer = Tracer(flow, TracingConfig(share=0.1), SpanQueue(lambda spans, pause: b"", lambda request: None))
    return tracer.root(placed).sampled


async def test_orders_go_on_while_the_collector_is_away_and_it_gets_their_spans_when_it_comes(
    shop: Shop, again: Again
) -> None:
    """Nobody listens at the endpoint, and orders complete as ever; once there is a collector, their traces arrive."""
    received, port = Received(), free_port()
    await again(tracing={"endpoint": f"http://127.0.0.1:{port}"})
    orders = await shop.place_all([order() for _ in range(50)])
    for placed in orders:
        assert (await shop.until(placed))["state"] == "COMPLETED"
    with grpc_collector(received, port):
        await until(lambda: _all_there(received, len(orders)), "all traces are whole", 90)
    for placed in orders:
        await order_trace(received, placed)


async def test_a_collector_that_answers_nobody_does_not_hold_up_the_end_of_a_service(shop: Shop, again: Again) -> None:
    """It takes connections and is silent: services stop in time all the same."""
    silent = await asyncio.start_server(lambda reader, writer: reader.read(), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    await again(tracing={"endpoint": f"http://127.0.0.1:{port}", "protocol": "Http"})
    assert (await shop.until(await shop.place()))["state"] == "COMPLETED"
    began = time.monotonic()
    assert await asyncio.to_thread(shop.fleet.kill, "payment-0", 15) == 0
    assert time.monotonic() - began < 15
    shop.fleet.start("payment")
    silent.close()


async def test_by_link_every_event_is_a_trace_and_the_links_lead_back_to_the_request(
    shop: Shop, received: Received, collector: str, again: Again
) -> None:
    """A process begins a trace and names the sending that caused it; from the last event one gets to the first."""
    await again(tracing={"endpoint": collector, "consumer": "Link"})
    placed = await shop.place_alone(order(), {"traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"})
    assert (await shop.until(placed))["state"] == "COMPLETED"
    spans = {span.id: span for span in await spans_of(received, placed)}
    consumers = [span for span in spans.values() if span.kind == "CONSUMER"]
    assert len({span.trace for span in consumers}) == len(consumers) == COMPLETED[1]
    for span in consumers:
        (link,) = span.links
        assert spans[link[1]].name == span.name.replace("process", "send")
        assert (span.parent, link[0] == span.trace) == ("", False)
    at, path = next(span for span in consumers if span.name == "process ORDER_COMPLETED"), []
    while at.name != "POST /orders":
        path.append(at.name)
        at = spans[at.parent or at.links[0][1]]
    assert path[-1] == "send ORDER_CREATED"
    assert "process PAYMENT_PROCESSED" in path


async def test_a_deadline_that_passes_is_part_of_the_order_s_trace(
    shop: Shop, received: Received, collector: str, again: Again
) -> None:
    """Shipping is silent: the timer that the request set fires in its trace, and the undoing hangs on it."""
    await again(deadline="4s", tracing={"endpoint": collector})
    shop.fleet.kill("shipping-0")
    placed = await shop.place()
    await shop.until(placed, "CANCELLED", "COMPENSATION_FAILED")
    await shop.fleet.until_ready(shop.fleet.start("shipping"))
    assert (await shop.until(placed, "CANCELLED"))["reason"] == "DEADLINE"
    trace = await order_trace(received, placed)
    assert len(trace.roots()) == 1, trace
    assert not trace.misplaced(), f"{trace.misplaced()}: {trace}"
    fired = min(trace.named("process timer/deadline"), key=lambda span: span.began)
    assert trace.parent(fired) == trace.only("POST /orders/batch")
    assert trace.parent(trace.named("send ORDER_CANCELLED")[0]) == fired
