"""*Jobs*: what is done to all that a filter finds: counted first, begun by a second click, paused and gone on with.

A redrive takes dead letters of one service, cancel takes orders that are open, resume those that are stuck.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from orderflow_console.actions.jobs.store import Job, JobState, Result
from orderflow_console.queries.dead_letters import get_letter_ids
from orderflow_console.queries.errors import InvalidQuestionError, ReadError
from orderflow_console.queries.instances import Phase, list_instances
from orderflow_console.queries.paging import MOST
from orderflow_console.web.context import Console, console_of
from orderflow_console.web.flow_cells import Cell
from orderflow_console.web.guard import action
from orderflow_console.web.pages import dead_letters, orders
from orderflow_console.web.rendering import count

_SECONDS = 1.0
_REFUSALS = 200
_PHASES = {"cancel": Phase.OPEN, "resume": Phase.STUCK}
KINDS = ("redrive", *_PHASES)
_SHAPES = {
    JobState.PROPOSED: ("○", "idle"),
    JobState.RUNNING: ("▲", "waiting"),
    JobState.PAUSED: ("◆", "dead"),
    JobState.DONE: ("●", "good"),
}


async def show_list(request: Request) -> Response:
    """Show the latest jobs."""
    console = console_of(request)
    return console.render.page("jobs.html", jobs=await console.jobs.store.latest())


async def propose(request: Request, form: Mapping[str, str]) -> Response:
    """Write down all that a filter finds now, for somebody to look at and to begin with."""
    console, kind = console_of(request), form.get("kind", "")
    asked, items = await _found(console, kind, form)
    return _to(await console.jobs.store.create(kind, asked.get("service", ""), asked, console.person, items))


async def show(request: Request) -> Response:
    """Show what a job is about, how far it is, and what was refused."""
    console, job = console_of(request), await _job(request)
    after = request.query_params.get("after", "")
    refusals = await console.jobs.store.refusals(job.id, after, _REFUSALS)
    more = f"?{urlencode({'after': refusals[-1].item})}" if len(refusals) == _REFUSALS else None
    words = ["redrive", job.target, *dead_letters.options(job.asked)] if job.kind == "redrive" else []
    return console.render.page("job.html", job=job, words=words, refusals=refusals, more=more, cells=_cells(job))


async def stream(request: Request) -> Response:
    """Send how far a job is, every second, as server-sent events; where nobody knows, a browser asks anew by itself."""

    async def events() -> AsyncIterator[str]:
        with suppress(ReadError):
            while True:
                job = await _job(request)
                yield f"data: {json.dumps(_cells(job))}\n\n"
                await asyncio.sleep(_SECONDS)

    return StreamingResponse(events(), media_type="text/event-stream")


async def pause(request: Request, form: Mapping[str, str]) -> Response:
    """Let a job stand."""
    job = await _job(request)
    await console_of(request).jobs.pause(job.id)
    return _to(job.id)


async def go_on(request: Request, form: Mapping[str, str]) -> Response:
    """Begin with a job, or go on with one that stands."""
    job = await _job(request)
    await console_of(request).jobs.go_on(job.id)
    return _to(job.id)


async def _found(console: Console, kind: str, given: Mapping[str, str]) -> tuple[dict[str, str], list[Result]]:
    """Return the filter and all that it finds; raise `InvalidQuestionError` where it is none of a job's."""
    if kind == "redrive":
        asked = dead_letters.asked_for(console.flow, given)
        if "service" not in asked:
            raise InvalidQuestionError("Dead letters are put back service by service", "Choose one in the filter")
        able, refused = await get_letter_ids(console.database, asked["service"], dead_letters.conditions(asked))
        return asked, [*(Result(str(one)) for one in able), *(Result(str(one), why) for one, why in refused.items())]
    if kind in _PHASES:
        asked = orders.asked_for(given) | {"phase": _PHASES[kind]}
        return asked, [Result(one) async for one in _orders(console, asked)]
    raise InvalidQuestionError(f"There is no job of the kind {kind!r}", f"Jobs are {', '.join(KINDS)}")


async def _orders(console: Console, asked: Mapping[str, str]) -> AsyncIterator[str]:
    """Yield the ids of all orders that a filter finds, page by page."""
    where, after = orders.order_filter(asked), None
    while True:
        page = await list_instances(console.database, where, after, MOST)
        for one in page.items:
            yield one.id
        if (after := page.next) is None:
            return


async def _job(request: Request) -> Job:
    return await console_of(request).jobs.store.get(request.path_params["number"])


def _cells(job: Job) -> dict[str, Cell]:
    """Return the texts of a job's page that change while it runs."""
    shape, kind = _SHAPES[job.state]
    return {
        "state": Cell(f"{shape} {job.state}", kind),
        "done": Cell(count(job.tried - job.refused), ""),
        "refused": Cell(count(job.refused), ""),
        "left": Cell(count(job.total - job.tried), ""),
        "problem": Cell(job.problem or "", "problem" if job.problem else ""),
    }


def _to(number: int) -> Response:
    return RedirectResponse(f"/jobs/{number}", HTTPStatus.SEE_OTHER)


ROUTES = (
    Route("/jobs", show_list),
    action("/jobs/propose", propose),
    Route("/jobs/{number:int}", show),
    Route("/jobs/{number:int}/stream", stream),
    action("/jobs/{number:int}/pause", pause),
    action("/jobs/{number:int}/go-on", go_on),
)
