"""Loads a file of orders: reads, sends and settles batches; called by `orderflow orders load`.

Batches are sent several at a time and settled in the file's order, so that how far it is, is one number.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from orderflow_cli.bulk_load.drafts import Draft, batches, drafts
from orderflow_cli.bulk_load.groups import scattered
from orderflow_cli.bulk_load.mapping import OrderMapping
from orderflow_cli.bulk_load.progress import Journal, Progress
from orderflow_cli.bulk_load.rows import LoadError, RowError, Source
from orderflow_cli.order_client import NoOrderServiceError, OrderClient, OrdersNotTakenError, Result

_CREATED, _REFUSED = 201, 400
_MOST_PLACES = 10

Refusal = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pace:
    """Orders a request, and requests under way at once: together they bound the memory."""

    batch: int
    concurrency: int


async def load(
    source: Source,
    mapping: OrderMapping | None,
    client: OrderClient,
    journal: Journal,
    pace: Pace,
    show: Callable[[Progress], None],
) -> Progress:
    """Send what is not settled yet; gives the counts of the whole file. Raise `LoadError`, with progress kept."""
    waiting = batches(_unsettled(source, mapping, journal.progress.row), pace.batch)
    under_way: deque[tuple[list[Draft], asyncio.Task[list[Result]]]] = deque()
    try:
        while _send_more(waiting, under_way, client, pace.concurrency) or under_way:
            batch, task = under_way[0]
            _settle(journal, source.unit, batch, await task)
            under_way.popleft()
            show(journal.progress)
    finally:
        await _cancel(task for _, task in under_way)
    journal.finish()
    return journal.progress


def _unsettled(source: Source, mapping: OrderMapping | None, row: int) -> Iterator[Draft]:
    """Return the orders after the row; where they have several, the file is read anew for what stands beside them."""
    if mapping is None or mapping.group_by is None:
        return drafts(source.rows(row), mapping)
    elsewhere = scattered(source.rows(0), mapping)
    return (draft for draft in drafts(source.rows(0), mapping, elsewhere) if draft.first > row)


def _send_more(
    waiting: Iterator[list[Draft]],
    under_way: deque[tuple[list[Draft], "asyncio.Task[list[Result]]"]],
    client: OrderClient,
    most: int,
) -> bool:
    """Begin requests until there are enough; True when there may be more to send."""
    while len(under_way) < most:
        batch = next(waiting, None)
        if batch is None:
            return False
        orders = [draft.order for draft in batch if isinstance(draft.order, bytes)]
        under_way.append((batch, asyncio.create_task(_place(client, orders))))
    return True


async def _place(client: OrderClient, orders: Sequence[bytes]) -> list[Result]:
    try:
        return await client.place(orders) if orders else []
    except OrdersNotTakenError as error:
        raise LoadError(error.problem, error.remedy) from None
    except NoOrderServiceError as error:
        raise LoadError(error.problem, "Is --url the order service's address?") from None


def _settle(journal: Journal, unit: str, batch: Sequence[Draft], results: Sequence[Result]) -> None:
    answers = iter(results)
    refusals = [refusal for draft in batch if (refusal := _refusal(unit, draft, answers)) is not None]
    accepted = sum(result["status"] == _CREATED for result in results)
    before = journal.progress
    journal.settle(
        refusals,
        before.model_copy(
            update={
                "row": batch[-1].last,
                "end": batch[-1].end,
                "accepted": before.accepted + accepted,
                "known": before.known + len(batch) - accepted - len(refusals),
                "refused": before.refused + len(refusals),
            }
        ),
    )


def _refusal(unit: str, draft: Draft, answers: Iterator[Result]) -> Refusal | None:
    """Return the report's line of an order, or None when it was taken."""
    if isinstance(draft.order, RowError):
        return _where(unit, draft) | {"reason": str(draft.order)}
    result = next(answers)
    if result["status"] < _REFUSED:
        return None
    return _where(unit, draft) | _problem(result.get("problem", {}))


def _where(unit: str, draft: Draft) -> Refusal:
    place = {unit: draft.first} | ({f"last_{unit}": draft.last} if draft.last != draft.first else {})
    return place | ({"idempotencyKey": draft.key} if draft.key is not None else {})


def _problem(problem: dict[str, Any]) -> Refusal:
    reason = f"{problem.get('title', 'refused')}: {problem.get('detail', '')}"
    errors = problem.get("errors")
    return {"reason": reason} | ({"errors": errors[:_MOST_PLACES]} if errors else {})


async def _cancel(tasks: Iterable["asyncio.Task[list[Result]]"]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
