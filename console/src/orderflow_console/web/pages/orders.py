"""*Orders*, the runs of the saga: found by what people ask for, one order's story, and what a person may do to one."""

import datetime as dt
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote, urlencode

import aiohttp
from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from orderflow_console.queries.errors import ReadError
from orderflow_console.queries.instances import InstanceFilter, Phase, get_instance, list_instances, states
from orderflow_console.queries.timeline import get_timeline
from orderflow_console.web.context import Console, console_of
from orderflow_console.web.guard import action
from orderflow_console.web.paging import page_number

_STEPS = 200
_FIELDS = ("state", "phase", "customer", "reason", "since", "until", "retrying", "because")


async def show_list(request: Request) -> Response:
    """Show a page of orders, the newest first."""
    console, asked = console_of(request), _asked(request)
    found = await list_instances(console.database, _filter(asked), request.query_params.get("after"))
    more = None if found.next is None else f"/orders?{urlencode(asked | {'after': found.next})}"
    return console.render.page(
        "orders.html",
        asked=asked,
        field=dict.fromkeys(_FIELDS, "") | asked,
        found=found,
        more=more,
        states=await states(console.database),
        phases=list(Phase),
    )


async def show(request: Request) -> Response:
    """Show one order: its state, what can be done, and its timeline, so many steps at a time."""
    console, order_id = console_of(request), request.path_params["id"]
    start = page_number(request, "from")
    timeline = await get_timeline(console.database, order_id, start, _STEPS)
    instance = None if timeline.state is None else await get_instance(console.database, order_id)
    return console.render.page(
        "order.html", key=order_id, instance=instance, timeline=timeline, more=start + _STEPS, step=_STEPS
    )


async def cancel(request: Request, form: Mapping[str, str]) -> Response:
    """Cancel an order."""
    return await _decide(request, "cancel")


async def resume(request: Request, form: Mapping[str, str]) -> Response:
    """Try an order's failed compensations again."""
    return await _decide(request, "resume")


async def _decide(request: Request, verb: str) -> Response:
    """Ask the service that begins runs, and show the order as it is then; raise `ReadError` with what it refuses."""
    console, order_id = console_of(request), request.path_params["id"]
    path = f"/orders/{quote(order_id, safe='')}"
    try:
        async with console.http.post(f"{_entry(console)}{path}/{verb}") as answer:
            body, status = await answer.read(), answer.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ReadError(
            f"The order service does not answer: {error or type(error).__name__}", "Try again: it is safe"
        ) from None
    if status != HTTPStatus.ACCEPTED:
        raise ReadError(f"The order service refuses to {verb} {order_id}: {_detail(body)}", "Look at its state first")
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)


def _detail(body: bytes) -> str:
    """Return why a service refused: the detail of a problem document, or the beginning of any other answer."""
    try:
        return str(from_json(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")


def _entry(console: Console) -> str:
    """Return the base URL of the service that begins runs; raise `ReadError` where there is none."""
    saga = console.flow.spec.saga
    for service in console.flow.services:
        if saga is not None and saga.begins in service.publishes:
            return console.urls[service.name]
    raise ReadError("No service of this flow begins runs", "Give the flow a saga: docs/services.md")


def _asked(request: Request) -> dict[str, str]:
    """Return the filter's fields as they were given, those that say something."""
    given = {name: request.query_params.get(name, "").strip() for name in _FIELDS}
    return {name: text for name, text in given.items() if text}


def _filter(asked: Mapping[str, str]) -> InstanceFilter:
    """Read the filter; raise `ReadError` about a field that cannot be read."""
    try:
        phases = frozenset({Phase(asked["phase"])} if "phase" in asked else ())
    except ValueError:
        raise ReadError(f"there is no phase {asked['phase']}", f"Say one of {', '.join(Phase)}") from None
    return InstanceFilter(
        state=asked.get("state"),
        phases=phases,
        reason=asked.get("reason"),
        customer=asked.get("customer"),
        since=_time(asked, "since"),
        until=_time(asked, "until"),
        retrying="retrying" in asked,
        retrying_because=asked.get("because"),
    )


def _time(asked: Mapping[str, str], name: str) -> dt.datetime | None:
    """Return a time, UTC where it says no zone; raise `ReadError` for what is none."""
    if name not in asked:
        return None
    try:
        time = dt.datetime.fromisoformat(asked[name])
    except ValueError:
        raise ReadError(f"{name}: {asked[name]!r} is no time", "Write it as 2026-11-28T22:30, in UTC") from None
    return time if time.tzinfo else time.replace(tzinfo=dt.UTC)


ROUTES = (
    Route("/orders", show_list),
    Route("/orders/{id}", show),
    action("/orders/{id}/cancel", cancel),
    action("/orders/{id}/resume", resume),
)
