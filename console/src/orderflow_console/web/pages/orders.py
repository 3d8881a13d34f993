"""*Orders*, the runs of the saga: found by what people ask for, one order's story, and what a person may do to one."""

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from orderflow_console.actions.jobs.works import decide_one
from orderflow_console.queries.errors import InvalidQuestionError, ReadError
from orderflow_console.queries.instances import InstanceFilter, Phase, get_instance, list_instances, states
from orderflow_console.queries.timeline import get_timeline
from orderflow_console.web.context import console_of
from orderflow_console.web.fields import fields, moment, number, options
from orderflow_console.web.guard import action
from orderflow_console.web.rendering import order_path

_STEPS = 200
_OPTIONS = {
    "state": "--in",
    "reason": "--reason",
    "customer": "--customer",
    "since": "--since",
    "until": "--until",
    "because": "--because",
}
_FLAGS = {Phase.OPEN: "--open", Phase.STUCK: "--stuck"}
_FIELDS = ("state", "phase", "customer", "reason", "since", "until", "retrying", "because")


async def show_list(request: Request) -> Response:
    """Show a page of orders, the newest first."""
    console, asked = console_of(request), asked_for(request.query_params)
    found = await list_instances(console.database, order_filter(asked), request.query_params.get("after"))
    more = None if found.next is None else f"/orders?{urlencode(asked | {'after': found.next})}"
    return console.render.page(
        "orders.html",
        asked=asked,
        field=dict.fromkeys(_FIELDS, "") | asked,
        found=found,
        more=more,
        words=_words(asked),
        states=await states(console.database),
        phases=list(Phase),
    )


async def show(request: Request) -> Response:
    """Show one order: its state, what can be done, and its timeline, so many steps at a time."""
    console, order_id = console_of(request), _key(request)
    start = number(request.query_params, "from")
    timeline = await get_timeline(console.database, order_id, start, _STEPS)
    instance = None if timeline.state is None else await get_instance(console.database, order_id)
    return console.render.page(
        "order.html",
        key=order_id,
        here=f"?{urlencode({'key': request.query_params['key']})}&" if "key" in request.query_params else "?",
        instance=instance,
        timeline=timeline,
        more=start + _STEPS,
        step=_STEPS,
    )


async def cancel(request: Request, form: Mapping[str, str]) -> Response:
    """Cancel an order."""
    return await _decide(request, "cancel")


async def resume(request: Request, form: Mapping[str, str]) -> Response:
    """Try an order's failed compensations again."""
    return await _decide(request, "resume")


def _key(request: Request) -> str:
    """Return the key that the address is of, as `order_path` writes it."""
    key: str = request.query_params.get("key", request.path_params["id"])
    return key


async def _decide(request: Request, verb: str) -> Response:
    """Ask the service that begins runs, and show the order as it is then; raise `ReadError` with what it refuses."""
    console, order_id = console_of(request), _key(request)
    if why := await decide_one(console.http, console.entry, verb, order_id):
        raise ReadError(f"The order service refuses to {verb} {order_id}: {why}", "Look at its state first")
    return RedirectResponse(order_path(order_id), HTTPStatus.SEE_OTHER)


def _words(asked: Mapping[str, str]) -> list[str]:
    """Return what a person would type for the same list."""
    words = options(asked, _OPTIONS)
    words += [flag for phase, flag in _FLAGS.items() if asked.get("phase") == phase]
    return ["orders", "list", *words, *(["--retrying"] if "retrying" in asked else [])]


def asked_for(given: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of a filter that say something."""
    return fields(given, _FIELDS)


def order_filter(asked: Mapping[str, str]) -> InstanceFilter:
    """Read the filter; raise `ReadError` about a field that cannot be read."""
    try:
        phases = frozenset({Phase(asked["phase"])} if "phase" in asked else ())
    except ValueError:
        raise InvalidQuestionError(f"there is no phase {asked['phase']}", f"Say one of {', '.join(Phase)}") from None
    return InstanceFilter(
        state=asked.get("state"),
        phases=phases,
        reason=asked.get("reason"),
        customer=asked.get("customer"),
        since=moment(asked, "since"),
        until=moment(asked, "until"),
        retrying="retrying" in asked,
        retrying_because=asked.get("because"),
    )


ROUTES = (
    Route("/orders", show_list),
    action("/orders/{id:path}/cancel", cancel),
    action("/orders/{id:path}/resume", resume),
    Route("/orders/{id:path}", show),
)
