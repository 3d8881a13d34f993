"""What is told of requests that come in: their route, status and place, and of many commands in one."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from orderflow_model.service_config import TracingConfig
from orderflow_runtime.observability.traced_requests import TracedApp
from orderflow_runtime.tracing.span_queue import Kind
from orderflow_runtime.tracing.trace_context import NO_SPAN, Trace
from orderflow_runtime.tracing.tracer import Tracer
from support.runtime.asgi import request
from support.runtime.recorded_spans import RecordedSpans

TRACE_ID, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE_ID}-{SPAN}-01", "tracestate": "a=b"}


@pytest.fixture
def recorded() -> RecordedSpans:
    """What is told."""
    return RecordedSpans()


def serve(recorded: RecordedSpans, share: float = 1, ignored: list[str] | None = None) -> Callable[..., object]:
    """An application with one endpoint for commands on things, as services have it under their health."""
    tracer = Tracer("shop", TracingConfig(share=share), recorded)

    async def command(asked: Request) -> Response:
        keys = (await asked.body()).decode().split()
        if keys:
            tracer.commanded("place", keys)
        if asked.path_params["thing"] == "broken":
            raise ValueError("a fault")
        return PlainTextResponse("", 202)

    app = Starlette(routes=[Route("/things/{thing}/orders", command, methods=["POST"])])
    return Starlette(routes=[Mount("/", TracedApp(app, tracer, ([] if ignored is None else ignored).extend))])


async def test_a_request_is_a_server_span_under_its_client_s(recorded: RecordedSpans) -> None:
    """It is named by its route, not its path, and says what was answered."""
    await request(serve(recorded), "POST", "/things/7/orders", b"k", SAMPLED)
    span = recorded.only("POST /things/{thing}/orders")
    assert (span.trace.id, span.trace.parent_span_id, span.trace.state) == (TRACE_ID, SPAN, "a=b")
    assert (span.template.kind, span.error) == (Kind.SERVER, None)
    assert dict((*span.template.attributes, *span.attributes)) == {
        "http.request.method": "POST",
        "http.route": "/things/{thing}/orders",
        "http.response.status_code": 202,
        "url.path": "/things/7/orders",
        "url.scheme": "http",
    }


async def test_a_command_that_came_without_a_context_makes_its_request_the_root(recorded: RecordedSpans) -> None:
    """The trace's id is the key's; a malformed context counts for none."""
    await request(serve(recorded), "POST", "/things/7/orders", b"k", {"traceparent": "nonsense"})
    root = recorded.only("POST /things/{thing}/orders").trace
    assert (root.id, root.parent_span_id) == (Tracer("shop").root("k").id, NO_SPAN)


async def test_a_request_with_many_commands_has_a_trace_for_each_that_links_to_it(recorded: RecordedSpans) -> None:
    """The client's trace has the request, each order's the command."""
    await request(serve(recorded), "POST", "/things/7/orders", b"k l", SAMPLED)
    asked, *commands = sorted(recorded.all, key=lambda span: span.template.name)
    assert [span.template.name for span in commands] == ["place", "place"]
    assert {span.trace.id for span in commands} == {Tracer("shop").root(key).id for key in "kl"}
    assert [span.links for span in commands] == [(asked.trace,)] * 2


@pytest.mark.parametrize(("headers", "share"), [({"traceparent": SAMPLED["traceparent"][:-1] + "0"}, 1), ({}, 0)])
async def test_a_request_that_is_not_sampled_is_told_of_by_nobody(
    recorded: RecordedSpans, headers: dict[str, str], share: float
) -> None:
    """Neither by its client's decision nor by the key's."""
    await request(serve(recorded, share), "POST", "/things/7/orders", b"k", headers)
    await request(serve(recorded, share), "POST", "/things/7/orders", b"k l", {} if share else headers)
    assert [span for span in recorded.all if span.template.name.startswith("POST")] == []


async def test_a_request_that_asks_for_nothing_is_told_of_where_its_client_is(recorded: RecordedSpans) -> None:
    """A read belongs to no order: only a sampled client makes it a span."""
    await request(serve(recorded), "POST", "/things/7/orders", b"", {})
    assert recorded.all == []
    await request(serve(recorded), "POST", "/things/7/orders", b"", SAMPLED)
    assert recorded.only("POST /things/{thing}/orders").trace.parent_span_id == SPAN


async def test_a_fault_is_a_failed_span(recorded: RecordedSpans) -> None:
    """What was not answered counts as 500; an address that nobody serves has no route."""
    await request(serve(recorded), "POST", "/things/broken/orders", b"k", SAMPLED)
    await request(serve(recorded), "GET", "/nowhere", b"", SAMPLED)
    assert recorded.only("POST /things/{thing}/orders").error == "500"
    assert recorded.only("GET").trace != Trace()


GOOD = SAMPLED["traceparent"]
ODD = [
    ({"traceparent": "nonsense"}, ["traceparent"], None),
    ({"traceparent": "\x00\xff"}, ["traceparent"], None),
    ({"traceparent": "x" * 100_000}, ["traceparent"], None),
    ({"traceparent": GOOD.upper()}, ["traceparent"], None),
    ({"traceparent": GOOD + ",", "tracestate": "a=b"}, ["traceparent", "tracestate"], None),
    ({"traceparent": GOOD, "tracestate": "a=" + "b" * 100_000}, ["tracestate"], ""),
    ({"traceparent": GOOD, "tracestate": "a=\xe9"}, ["tracestate"], ""),
    ({"tracestate": "a=b"}, ["tracestate"], None),
    ({"traceparent": GOOD, "tracestate": ""}, [], ""),
    ({"traceparent": GOOD, "tracestate": "a=b", "trace": "x", "baggage": "y" * 10_000}, [], "a=b"),
    ({f"x-{n}": "y" * 100 for n in range(1_000)}, [], None),
]


@pytest.mark.parametrize(("headers", "kinds", "state"), ODD)
async def test_odd_context_is_left_aside_and_counted(
    recorded: RecordedSpans, headers: dict[str, str], kinds: list[str], state: str | None
) -> None:
    """A request is served whatever its headers; of its context only what is as the standard has it is carried on."""
    ignored: list[str] = []
    answer = await request(serve(recorded, ignored=ignored), "POST", "/things/7/orders", b"k", headers)
    assert (answer.status, ignored) == (202, kinds)
    trace = recorded.only("POST /things/{thing}/orders").trace
    assert (trace.id == TRACE_ID) == (state is not None)
    assert (trace.state or "") == (state or "")


async def test_a_tracestate_in_several_headers_is_one(recorded: RecordedSpans) -> None:
    """They are put together in their order; of traceparents there is only one, or none that counts."""
    ignored: list[str] = []
    app = serve(recorded, ignored=ignored)
    scope_headers = [(b"traceparent", GOOD.encode()), (b"tracestate", b"a=b"), (b"tracestate", b"c=d")]
    assert await _status(app, scope_headers) == await _status(app, [*scope_headers, scope_headers[0]]) == 202
    first, second = recorded.named("POST /things/{thing}/orders")
    assert (first.trace.id, first.trace.state) == (TRACE_ID, "a=b,c=d")
    assert second.trace.id != TRACE_ID
    assert ignored == ["traceparent", "tracestate"]


async def _status(app: Callable[..., Any], headers: list[tuple[bytes, bytes]]) -> int:
    async def with_headers(scope: Any, receive: Any, send: Any) -> None:
        await app(scope | {"headers": headers}, receive, send)

    return (await request(with_headers, "POST", "/things/7/orders", b"k")).status
