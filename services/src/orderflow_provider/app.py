"""The provider's HTTP face, called by the payment service, by tests and by the operator of the simulation.

It stands on aiohttp because a handler there can cut the connection, as a network does that loses an answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import web
from pydantic import ValidationError

from orderflow_contracts.event import Model
from orderflow_provider.ledger import Answer, Faults, Ledger, PaymentRequest, RefundRequest
from orderflow_runtime.ending import Ending

LEDGER = web.AppKey("ledger", Ledger)
ENDING = web.AppKey("ending", Ending)
M = TypeVar("M", bound=Model)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(ledger: Ledger, ending: Ending) -> web.Application:
    """Serve this ledger; once the end is asked for it is not ready, and each answer closes its connection."""
    app = web.Application(middlewares=[_explain_invalid], client_max_size=16 * 1024)
    app[LEDGER], app[ENDING] = ledger, ending
    app.on_response_prepare.append(_part)
    app.add_routes(
        [
            web.post("/payments", _pay),
            web.get("/payments/{key}", _find_payment),
            web.post("/refunds", _refund),
            web.get("/refunds/{key}", _find_refund),
            web.get("/ledger", _totals),
            web.get("/faults", _faults),
            web.post("/faults", _set_faults),
            web.get("/livez", _alive),
            web.get("/readyz", _ready),
        ]
    )
    return app


@web.middleware
async def _explain_invalid(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        status = 400 if first["type"] == "json_invalid" else 422
        place = "/".join(str(part) for part in first["loc"])
        problem = {
            "status": status,
            "title": "invalid request",
            "code": "invalid_request",
            "detail": f"/{place}: {first['msg']}",
        }
        return web.json_response(problem, status=status, content_type="application/problem+json")


async def _pay(request: web.Request) -> web.StreamResponse:
    return await _give(request, request.app[LEDGER].pay(await _read(request, PaymentRequest)))


async def _refund(request: web.Request) -> web.StreamResponse:
    return await _give(request, request.app[LEDGER].refund(await _read(request, RefundRequest)))


async def _find_payment(request: web.Request) -> web.StreamResponse:
    return _found(request.app[LEDGER].find_payment(request.match_info["key"]))


async def _find_refund(request: web.Request) -> web.StreamResponse:
    return _found(request.app[LEDGER].find_refund(request.match_info["key"]))


async def _totals(request: web.Request) -> web.StreamResponse:
    return web.json_response(request.app[LEDGER].totals())


async def _faults(request: web.Request) -> web.StreamResponse:
    return web.json_response(request.app[LEDGER].faults.model_dump(by_alias=True))


async def _set_faults(request: web.Request) -> web.StreamResponse:
    """Replace all behaviours: what is not given is at its default."""
    request.app[LEDGER].faults = await _read(request, Faults)
    return await _faults(request)


async def _alive(request: web.Request) -> web.StreamResponse:
    return web.json_response({"status": "ok"})


async def _ready(request: web.Request) -> web.StreamResponse:
    obstacle = request.app[ENDING].obstacle
    return web.json_response({"status": obstacle or "ok"}, status=503 if obstacle else 200)


async def _part(request: web.Request, response: web.StreamResponse) -> None:
    if request.app[ENDING].asked:
        response.force_close()
        response.headers["Connection"] = "close"


async def _read(request: web.Request, model: type[M]) -> M:
    return model.model_validate_json(await request.read())


async def _give(request: web.Request, answer: Answer) -> web.StreamResponse:
    if answer.delay:
        await asyncio.sleep(answer.delay)
    if answer.lost and request.transport is not None:
        request.transport.close()
    return web.json_response(answer.body, status=answer.status)


def _found(body: dict[str, object] | None) -> web.StreamResponse:
    if body is None:
        return web.json_response({"status": 404, "title": "no such key", "code": "not_found"}, status=404)
    return web.json_response(body)
