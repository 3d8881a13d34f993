"""The order service's HTTP API. `__main__` gives `build_app` to the runtime, which serves it beside health.

Its endpoints are plain routes that read and answer bytes: FastAPI's own decoding and encoding would cost the
most at hundreds of requests a second. `openapi` describes them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from orderflow_order import store
from orderflow_order.commands import Cancel, Decision, NotPlaced, Outcome, Place, Placement, Refused, Resume, Standing
from orderflow_order.http import bodies, openapi, problems, timeline, webhook
from orderflow_order.http.problems import Problem
from orderflow_order.http.requests import IdempotencyKey, KeyedOrderRequest, OrderRequest
from orderflow_runtime import Command, Intake, TooLarge, UnavailableError, read_history

_ID_CHARACTERS = 36
_key: TypeAdapter[str] = TypeAdapter(IdempotencyKey)


def build_app(intake: Intake, secret: str | None, clock: Callable[[], datetime]) -> ASGIApp:
    """Make the API. `secret` signs webhooks, or several apart by commas (None: there are none); `clock` gives UTC."""
    api = Api(intake, webhook.read_secrets(secret or ""), clock)
    routes: list[BaseRoute] = [
        Route("/orders", api.place, methods=["POST"]),
        Route("/orders/batch", api.place_batch, methods=["POST"]),
        Route("/webhooks/orders", api.deliver, methods=["POST"]),
        Route("/orders/{order_id}", api.show, methods=["GET"]),
        Route("/orders/{order_id}/timeline", api.show_timeline, methods=["GET"]),
        Route("/orders/{order_id}/cancel", api.cancel, methods=["POST"]),
        Route("/orders/{order_id}/resume", api.resume, methods=["POST"]),
    ]
    handlers: dict[int | type[Exception], Any] = {
        UnavailableError: _answer_unavailable,
        Problem: _answer_problem,
        HTTPException: _answer_http_error,
        Exception: _answer_fault,
    }
    return _App(routes=routes, exception_handlers=handlers, docs_url=None, redoc_url=None, redirect_slashes=False)


class _App(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Return the document of the plain routes, which FastAPI does not see."""
        return openapi.document()


@dataclass(frozen=True, slots=True)
class Api:
    """The endpoints over one intake."""

    intake: Intake
    secrets: Sequence[str]
    clock: Callable[[], datetime]

    async def place(self, request: Request) -> Response:
        """Place an order. The same key and body again give the same order; another body is refused."""
        key = _idempotency_key(request)
        order = bodies.order(OrderRequest, await bodies.read(request, bodies.MAX_ORDER_BYTES))
        return _answer_placed(await self.intake.submit(Place(order.created(key))))

    async def place_batch(self, request: Request) -> Response:
        """Place up to 500 orders at once; each is answered for itself, in the order given."""
        body = await bodies.read(request, bodies.MAX_BATCH_BYTES, (bodies.JSON, *bodies.NDJSON))
        items = bodies.batch(body, bodies.content_type(request))
        commands = [Place(item.created(item.idempotency_key)) for item in items if isinstance(item, OrderRequest)]
        answers = iter(await self.intake.submit_all(commands))
        results = [item if isinstance(item, Problem) else _outcome(next(answers)) for item in items]
        return _json({"results": [_item(result) for result in results]})

    async def deliver(self, request: Request) -> Response:
        """Place the order of a signed webhook delivery; the same delivery again gives the same order."""
        if not self.secrets:
            raise problems.WebhookDisabled("set ORDER_WEBHOOK_SECRET on the order service to take webhooks")
        body = await bodies.read(request, bodies.MAX_ORDER_BYTES)
        try:
            webhook.verify(",".join(request.headers.getlist(webhook.HEADER)), body, self.secrets, self.clock())
        except webhook.BadSignatureError as error:
            raise problems.BadSignature(f"{error}; sign it anew and send it at once") from None
        order = bodies.order(KeyedOrderRequest, body)
        reply = await self.intake.submit(Place(order.created(order.idempotency_key)))
        if reply is Outcome.KEY_REUSED:
            raise problems.DeliveryConflict("an earlier delivery of this key had another body; give each order its own")
        return _answer_placed(reply)

    async def show(self, request: Request) -> Response:
        """Return an order as it stands."""
        row = await self._row(store.ORDER, request)
        details = from_json(row["details"])
        return _json(
            {
                "id": row["order_id"],
                "state": row["state"],
                "reason": row["reason"],
                "undo": sorted(row["undo"]),
                "attempt": row["attempt"],
                "placedAt": row["placed_at"],
                "customer": from_json(row["customer"]),
                "currency": row["currency"],
                "amount": row["amount"],
                **{name: details[name] for name in ("lines", "shipTo", "allowPartial")},
            }
        )

    async def show_timeline(self, request: Request) -> Response:
        """Return what happened to an order, oldest first, as far as this service knows."""
        row = await self._row(store.TIMELINE, request)
        steps = await read_history(self.intake.read, row["order_id"])
        entries = timeline.merge(row["history"], steps)
        return _json(
            {"id": row["order_id"], "state": row["state"], "trace": timeline.first_trace(steps), "entries": entries}
        )

    async def cancel(self, request: Request) -> Response:
        """Cancel an order that is not yet on its way; a second time changes nothing."""
        return await self._decide(Cancel(_order_id(request)))

    async def resume(self, request: Request) -> Response:
        """Try failed compensations again."""
        return await self._decide(Resume(_order_id(request)))

    async def _decide(self, command: Command[Decision]) -> Response:
        reply = await self.intake.submit(command)
        if isinstance(reply, NotPlaced):
            raise problems.OrderNotFound(f"there is no order {command.key}")
        if isinstance(reply, Refused):
            raise problems.StateConflict(reply.detail)
        if isinstance(reply, TooLarge):
            raise Problem(f"what this does makes an event that Kafka would not take: {reply.detail}")
        return _json(_standing(reply), HTTPStatus.ACCEPTED)

    async def _row(self, query: str, request: Request) -> Mapping[str, Any]:
        order_id = _order_id(request)
        rows = await self.intake.read(query, order_id)
        if not rows:
            raise problems.OrderNotFound(f"there is no order {order_id}")
        return rows[0]


def _order_id(request: Request) -> str:
    order_id: str = request.path_params["order_id"]
    if len(order_id) != _ID_CHARACTERS or not order_id.isascii() or not order_id.isprintable():
        raise problems.OrderNotFound("order ids are UUIDs, as POST /orders gave them")
    return order_id


def _idempotency_key(request: Request) -> str:
    try:
        return _key.validate_python(_text(request.headers.get("idempotency-key", "")))
    except ValidationError:
        raise problems.MissingKey("send 1 to 255 characters without control characters, each time the same") from None


def _text(header: str) -> str:
    """Return a header's text as UTF-8, where it is that: the same key may come in a body."""
    raw = header.encode("latin-1")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return header


def _outcome(reply: Placement | TooLarge) -> Standing | Problem:
    if reply is Outcome.KEY_REUSED:
        return problems.KeyReused("place the other order with a key of its own")
    if isinstance(reply, TooLarge):
        return problems.BodyTooLarge(f"the order makes an event that Kafka would not take: {reply.detail}")
    return reply


def _answer_placed(reply: Placement | TooLarge) -> Response:
    result = _outcome(reply)
    if isinstance(result, Problem):
        raise result
    return _json(_standing(result), _status(result), {"location": f"/orders/{result.id}"})


def _status(standing: Standing) -> int:
    return HTTPStatus.CREATED if standing.outcome is Outcome.CREATED else HTTPStatus.OK


def _standing(standing: Standing) -> dict[str, Any]:
    return {"id": standing.id, "state": standing.state, "reason": standing.reason}


def _item(result: Standing | Problem) -> dict[str, Any]:
    if isinstance(result, Problem):
        return {"status": result.status, "problem": result.details.model_dump(exclude_none=True)}
    return {"status": int(_status(result)), **_standing(result)}


def _json(content: Any, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    return Response(to_json(content), status, headers, "application/json")


async def _answer_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - Starlette's signature is wider than its registry
    return Response(error.json(), error.status, error.headers, problems.MEDIA_TYPE)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        problem: Problem = problems.MethodNotAllowed(f"{request.method} is not served at {request.url.path}")
    else:
        problem = problems.NotFound(f"{request.url.path} is not an address of this API; see /openapi.json")
    response = await _answer_problem(request, problem)
    response.headers.update(error.headers or {})
    return response


async def _answer_unavailable(request: Request, error: Exception) -> Response:
    return await _answer_problem(
        request, problems.ServiceUnavailable("try again with the same Idempotency-Key; it is safe")
    )


async def _answer_fault(request: Request, error: Exception) -> Response:
    return await _answer_problem(request, Problem("try again with the same Idempotency-Key; it is safe"))
