"""*Dead letters*: what services gave up, by service and reason; one of them with its error and payload side by side."""

import asyncio
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from orderflow_console.actions.edit import EditError, edited, hashes, read_data, terms_of
from orderflow_console.actions.jobs.store import Result
from orderflow_console.actions.jobs.works import put_edited
from orderflow_console.actions.redrive import DeadLetters
from orderflow_console.queries.dead_letters import (
    Condition,
    DeadLetter,
    count_dead_letters,
    get_dead_letters,
    list_dead_letters,
)
from orderflow_console.queries.errors import UnknownError
from orderflow_console.queries.letter_records import DeadRecord, find_record
from orderflow_console.web.access.people import Role
from orderflow_console.web.context import Console, console_of
from orderflow_console.web.fields import fields
from orderflow_console.web.guard import action
from orderflow_console.web.payload import payload
from orderflow_model.contracts.errors import ContractsError
from orderflow_model.flow import OrderFlow
from orderflow_model.names import dead_letter_topic_name, schema_name

_FIELDS = ("service", "type", "reason", "key")


async def show_list(request: Request) -> Response:
    """Show how many there are of each kind, and a page of those that are asked for, the oldest first."""
    console = console_of(request)
    asked = asked_for(console.flow, request.query_params)
    found = await list_dead_letters(
        console.database, asked.get("service"), conditions(asked), request.query_params.get("after")
    )
    more = None if found.next is None else f"/dead-letters?{urlencode(asked | {'after': found.next})}"
    groups = await count_dead_letters(console.database, asked.get("service"))
    field = dict.fromkeys(_FIELDS, "") | asked
    return console.render.page(
        "dead_letters.html",
        asked=asked,
        field=field,
        found=found,
        groups=groups,
        more=more,
        services=console.urls,
        words=["dead-letters", "list", *([asked["service"]] if "service" in asked else []), *options(asked)],
    )


async def show(request: Request) -> Response:
    """Show one: why it died, and what it was, without what is personal."""
    console, service, letter = await _asked_one(request)
    record = await _record(console, service, letter)
    return _page(console, service, letter, record)


async def unmask(request: Request, form: Mapping[str, str]) -> Response:
    """Show one with what is personal, to whoever may see that."""
    console, service, letter = await _asked_one(request)
    return _page(console, service, letter, await _record(console, service, letter), unmasked=True)


async def redrive(request: Request, form: Mapping[str, str]) -> Response:
    """Put one back, as a job of its own."""
    console, service, letter = await _asked_one(request)
    asked = {"service": service, "id": str(letter.id)}
    number = await console.jobs.start("redrive", service, asked, console.person, [_item(letter)])
    return RedirectResponse(f"/jobs/{number}", HTTPStatus.SEE_OTHER)


async def edit(request: Request, form: Mapping[str, str]) -> Response:
    """Put one back as a person has edited it; show what is wrong with the edit beside it, where something is."""
    console, service, letter = await _asked_one(request)
    record, given = await _record(console, service, letter), form.get("data", "")
    if record is None:
        raise UnknownError(f"the topic of {service} keeps letter {letter.id} no longer", "Choose another")
    try:
        repair = edited(record, read_data(given), terms_of(console.flow, record.topic))
    except (EditError, ContractsError) as error:
        return _page(console, service, letter, record, given, f"{error.problem}. {error.remedy}.")
    asked = {"service": service, "id": str(letter.id), **hashes(record, repair)}
    at = DeadLetters(console.flow.metadata.name, service, console.kafka, console.settings.database)
    item, work = _item(letter), put_edited(at, repair)
    number = await console.jobs.start("edit", service, asked, console.person, [item], work)
    return RedirectResponse(f"/jobs/{number}", HTTPStatus.SEE_OTHER)


async def _asked_one(request: Request) -> tuple[Console, str, DeadLetter]:
    console = console_of(request)
    service = _service_of(console.flow, request.path_params["service"])
    return console, service, await _letter(console, service, request.path_params["id"])


async def _record(console: Console, service: str, letter: DeadLetter) -> DeadRecord | None:
    topic = dead_letter_topic_name(console.flow.metadata.name, service)
    return await asyncio.to_thread(find_record, console.kafka, topic, letter.id, letter.died_at)


def _item(letter: DeadLetter) -> Result:
    return Result(str(letter.id), letter.refusal_reason() or (None if letter.dead else "its service has taken it back"))


def _page(
    console: Console,
    service: str,
    letter: DeadLetter,
    record: DeadRecord | None,
    given: str | None = None,
    problem: str = "",
    *,
    unmasked: bool = False,
) -> Response:
    """Return a letter's page: `given` is an edit that has a problem."""
    shown = None if record is None else payload(console.flow, record.topic, record.value, unmasked=unmasked)
    return console.render.page(
        "dead_letter.html",
        HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK,
        service=service,
        letter=letter,
        payload=shown,
        given=given if given is not None or shown is None else shown.text,
        problem=problem,
        may_unmask=not unmasked and shown is not None and shown.is_masked and console.may(Role.UNMASK),
    )


def conditions(asked: Mapping[str, str]) -> list[Condition]:
    """Return what of the filter is asked of rows: type, key and id as they are, of the reason a part."""
    return [Condition(name, name == "reason", asked[name]) for name in ("type", "reason", "key", "id") if name in asked]


async def _letter(console: Console, service: str, letter_id: str) -> DeadLetter:
    try:
        ids = [uuid.UUID(letter_id)]
    except ValueError:
        raise UnknownError(f"{letter_id} is no dead letter's id", "Choose one from the list") from None
    found = await get_dead_letters(console.database, service, (), ids, None)
    if not found:
        raise UnknownError(f"{service} has no dead letter {letter_id}", "Choose one from the list")
    return found[0]


def options(asked: Mapping[str, str]) -> list[str]:
    """Return the filter, but for its service, as a person would type it."""
    signs = ((one, "~" if one.contains else "=") for one in conditions(asked))
    return [word for one, sign in signs for word in ("--where", f"{one.field}{sign}{one.text}")]


def _service_of(flow: OrderFlow, name: str) -> str:
    """Return the service of a schema, for rows tell that; of one that has left the flow, the schema's own name."""
    return next((service.name for service in flow.services if schema_name(service.name) == schema_name(name)), name)


def asked_for(flow: OrderFlow, given: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of a filter that say something, the service by its name in the flow."""
    asked = fields(given, _FIELDS)
    return asked | ({"service": _service_of(flow, asked["service"])} if "service" in asked else {})


ROUTES = (
    Route("/dead-letters", show_list),
    Route("/dead-letters/{service}/{id}", show),
    action("/dead-letters/{service}/{id}/redrive", redrive),
    action("/dead-letters/{service}/{id}/edit", edit),
    action("/dead-letters/{service}/{id}/unmask", unmask, Role.UNMASK),
)
