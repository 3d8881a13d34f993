"""What jobs do: put dead letters back, cancel orders, resume them."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import quote

import aiohttp
from pydantic_core import from_json

from orderflow_console.actions.jobs.runner import Work
from orderflow_console.actions.jobs.store import Job, Result
from orderflow_console.actions.redrive import DeadLetters, Outcome, Repair
from orderflow_console.queries.errors import ReadError
from orderflow_console.queries.kafka import Options
from orderflow_model.postgres_uri import PostgresUri

_AT_ONCE = 8


def redrive(flow: str, kafka: Options, database: PostgresUri) -> Work:
    """Return the work that puts letters of a job's target back; items are their ids."""

    async def work(job: Job, items: Sequence[str]) -> AsyncGenerator[list[Result], None]:
        outcomes = DeadLetters(flow, job.target, kafka, database).redrive({uuid.UUID(item) for item in items})
        try:
            while (some := await asyncio.to_thread(_next, outcomes)) is not None:
                yield [Result(str(one.id), one.refused) for one in some]
        finally:
            with suppress(ValueError):  # a thread is at it when the console ends: what it does is done again, safely
                outcomes.close()

    return work


def put_edited(at: DeadLetters, repair: Repair) -> Work:
    """Return the work that puts one letter back as a person edited it, which no job keeps: it may be personal."""

    async def work(job: Job, items: Sequence[str]) -> AsyncGenerator[list[Result], None]:
        outcomes = await asyncio.to_thread(lambda: [*at.redrive({repair.id}, {repair.id: repair})])
        yield [Result(str(one.id), one.refused) for some in outcomes for one in some]

    return work


async def lost(job: Job, items: Sequence[str]) -> AsyncGenerator[list[Result], None]:
    """Tell of an edit whose console ended before it was put back that nobody knows it any more."""
    yield [Result(item, "the console ended meanwhile, and keeps no edited event: edit it again") for item in items]


def decide(http: aiohttp.ClientSession, url: str, verb: str) -> Work:
    """Return the work that cancels or resumes orders by the API at `url`; items are their ids.

    An order of which the service tells nothing, such as one that breaks it, is left for the end, and holds up no other.
    """

    async def work(job: Job, items: Sequence[str]) -> AsyncGenerator[list[Result], None]:
        unanswered: list[BaseException] = []
        for at in range(0, len(items), _AT_ONCE):
            some = items[at : at + _AT_ONCE]
            told = await asyncio.gather(*(decide_one(http, url, verb, item) for item in some), return_exceptions=True)
            pairs = zip(some, told, strict=True)
            yield [Result(item, why) for item, why in pairs if not isinstance(why, BaseException)]
            failures = [why for why in told if isinstance(why, BaseException)]
            unanswered += failures
            if len(failures) == len(some):  # the service is away
                break
        if unanswered:
            raise unanswered[0]

    return work


async def decide_one(http: aiohttp.ClientSession, url: str, verb: str, order: str) -> str | None:
    """Cancel or resume an order; return why that was refused, or raise `ReadError` when nobody answers."""
    try:
        async with http.post(f"{url}/orders/{quote(order, safe='')}/{verb}") as answer:
            body, status = await answer.read(), answer.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ReadError(
            f"The order service does not answer: {error or type(error).__name__}", "Try again: it is safe"
        ) from None
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise ReadError(f"The order service answers {status}: {_detail(body)}", "Try again: it is safe")
    return None if status == HTTPStatus.ACCEPTED else _detail(body)


def _detail(body: bytes) -> str:
    """Return why a service refused: the detail of a problem document, or the beginning of any other answer."""
    try:
        return str(from_json(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")


def _next(outcomes: Iterator[list[Outcome]]) -> list[Outcome] | None:
    return next(outcomes, None)
