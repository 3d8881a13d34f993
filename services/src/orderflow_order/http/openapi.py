"""The API's OpenAPI document, generated from the models; `api` serves it. FastAPI cannot see plain routes."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from orderflow_order.domain import State, Undo
from orderflow_order.http import bodies, problems, webhook
from orderflow_order.http.problems import Problem, ProblemDetails
from orderflow_order.http.requests import IdempotencyKey, KeyedOrderRequest, OrderRequest
from orderflow_shop.events import Address, CancelReason, Customer, Line

_REF = "#/components/schemas/{model}"
_BODY_PROBLEMS = (
    problems.MalformedJson,
    problems.MalformedGzip,
    problems.BodyTooLarge,
    problems.UnsupportedMedia,
    problems.UnsupportedCoding,
    problems.InvalidOrder,
)


class _Answer(BaseModel):
    """The base of what is answered: camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Standing(_Answer):
    """Where an order stands."""

    id: str
    state: State
    reason: CancelReason | None


class OrderView(Standing):
    """An order as it stands; `undo` is what a cancelled order still owes, `amount` null until it is known."""

    undo: list[Undo]
    attempt: int
    placed_at: datetime
    customer: Customer
    currency: str
    amount: int | None
    lines: list[Line]
    ship_to: Address
    allow_partial: bool


class TimelineEntry(_Answer):
    """What came or was decided, with the `state` after it; or, with its `event`, what happened to one on the way.

    `taken` is when an event was taken in, `trace` its trace where that is recorded. On the way an event FAILED (it is
    `due` again), WAITS behind another, is HANDLED at last, DEAD or REDRIVEN; a timer FIRED; at the end is what is
    WAITING now.
    """

    at: datetime
    what: str
    state: State | None = None
    detail: str | None = None
    taken: datetime | None = None
    trace: str | None = None
    event: str | None = None
    attempt: int | None = None
    due: datetime | None = None


class Timeline(_Answer):
    """An order's history, oldest first, as far as the order service knows it."""

    id: str
    state: State
    trace: str | None
    entries: list[TimelineEntry]


class PlacedItem(Standing):
    """An order of a batch that was placed now (201) or earlier by the same key (200)."""

    status: Literal[200, 201]


class RefusedItem(_Answer):
    """An order of a batch that was refused."""

    status: int = Field(ge=400)
    problem: ProblemDetails


class BatchResult(_Answer):
    """One result for each order of the batch, in the order given."""

    results: list[PlacedItem | RefusedItem]


_MODELS: tuple[tuple[type[BaseModel], JsonSchemaMode], ...] = (
    (OrderRequest, "validation"),
    (KeyedOrderRequest, "validation"),
    *((model, "serialization") for model in (Standing, OrderView, Timeline, BatchResult, ProblemDetails)),
)


def document() -> dict[str, Any]:
    """Return the whole document."""
    _, definitions = models_json_schema(_MODELS, ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {"title": "OrderFlow orders", "version": "1"},
        "paths": _paths(),
        "components": {"schemas": definitions["$defs"]},
    }


def _paths() -> dict[str, Any]:
    return {
        "/orders": {"post": _place()},
        "/orders/batch": {"post": _place_batch()},
        "/webhooks/orders": {"post": _deliver()},
        "/orders/{order_id}": {"get": _order("Show an order", 200, OrderView)},
        "/orders/{order_id}/timeline": {"get": _order("Show an order's history", 200, Timeline)},
        "/orders/{order_id}/cancel": {"post": _order("Cancel an order", 202, Standing, problems.StateConflict)},
        "/orders/{order_id}/resume": {
            "post": _order("Try failed compensations again", 202, Standing, problems.StateConflict)
        },
    }


def _place() -> dict[str, Any]:
    key = _header("Idempotency-Key", TypeAdapter(IdempotencyKey).json_schema())
    refusals = (problems.MissingKey, problems.KeyReused, *_BODY_PROBLEMS)
    return {
        "summary": "Place an order; the same key and body again give the same order",
        "parameters": [key],
        "requestBody": _body({bodies.JSON: _ref(OrderRequest)}),
        "responses": _responses({201: Standing, 200: Standing}, refusals),
    }


def _place_batch() -> dict[str, Any]:
    items = {"items": _ref(KeyedOrderRequest), "minItems": 1, "maxItems": bodies.MAX_BATCH}
    lines = {"type": "string", "description": "one order a line, each an object as in the JSON array"}
    return {
        "summary": "Place up to 500 orders, each answered for itself",
        "requestBody": _body({bodies.JSON: {"type": "array"} | items} | dict.fromkeys(bodies.NDJSON, lines)),
        "responses": _responses({200: BatchResult}, (*_BODY_PROBLEMS, problems.BatchTooLarge)),
    }


def _deliver() -> dict[str, Any]:
    pattern = {"type": "string", "pattern": "^t=[0-9]+(,v1=(sha256=)?[0-9A-Fa-f]{64})+$"}
    own = (problems.BadSignature, problems.DeliveryConflict, problems.WebhookDisabled)
    return {
        "summary": "Place the order of a signed delivery; the same delivery again gives the same order",
        "parameters": [_header(webhook.HEADER.title(), pattern)],
        "requestBody": _body({bodies.JSON: _ref(KeyedOrderRequest)}),
        "responses": _responses({201: Standing, 200: Standing}, (*own, *_BODY_PROBLEMS)),
    }


def _order(summary: str, status: int, model: type[BaseModel], *refusals: type[Problem]) -> dict[str, Any]:
    path = {
        "name": "order_id",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "format": "uuid"},
    }
    return {
        "summary": summary,
        "parameters": [path],
        "responses": _responses({status: model}, (problems.OrderNotFound, *refusals)),
    }


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": _REF.format(model=model.__name__)}


def _header(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "schema": schema}


def _body(schemas: Mapping[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {media: {"schema": schema} for media, schema in schemas.items()}}


def _responses(answers: Mapping[int, type[BaseModel]], refusals: Iterable[type[Problem]]) -> dict[str, dict[str, Any]]:
    found = {str(status): _response(model.__doc__ or "", bodies.JSON, model) for status, model in answers.items()}
    titles: dict[str, list[str]] = {}
    everything: tuple[type[Problem], ...] = (*refusals, problems.ServiceUnavailable, Problem)
    for refusal in everything:
        titles.setdefault(str(refusal.status), []).append(refusal.title)
    return found | {
        status: _response("; or: ".join(texts), problems.MEDIA_TYPE, ProblemDetails) for status, texts in titles.items()
    }


def _response(description: str, media: str, model: type[BaseModel]) -> dict[str, Any]:
    return {"description": description, "content": {media: {"schema": _ref(model)}}}
