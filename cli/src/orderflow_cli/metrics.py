"""Reads what the services say of themselves: `/metrics` for the live view, `/readyz` to know when to begin."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

_TIMEOUT = aiohttp.ClientTimeout(total=2)
_BY_EVENT = {"orderflow_events_processed_total": "processed", "orderflow_events_published_total": "published"}
_DEAD, _PARKED = "orderflow_events_dead_total", "orderflow_parked"


@dataclass
class Counts:
    """A service's counters since its start, by event, and what is parked now."""

    processed: dict[str, float] = field(default_factory=dict)
    published: dict[str, float] = field(default_factory=dict)
    dead: float = 0
    parked: float = 0


async def scrape(session: aiohttp.ClientSession, urls: Mapping[str, str]) -> dict[str, Counts]:
    """The counts of every service that answers; `urls` gives base URLs by service."""
    texts = await asyncio.gather(*(_get(session, f"{url}/metrics") for url in urls.values()))
    return {name: _parse(text) for name, text in zip(urls, texts, strict=True) if text is not None}


async def unready(session: aiohttp.ClientSession, urls: Mapping[str, str]) -> list[str]:
    """The services that do not say yet that they are ready."""
    answers = await asyncio.gather(*(_get(session, f"{url}/readyz") for url in urls.values()))
    return [name for name, answer in zip(urls, answers, strict=True) if answer is None]


async def _get(session: aiohttp.ClientSession, url: str) -> str | None:
    try:
        async with session.get(url, timeout=_TIMEOUT) as answer:
            return await answer.text() if answer.status == 200 else None
    except (aiohttp.ClientError, TimeoutError):
        return None


def _parse(text: str) -> Counts:
    counts = Counts()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in _BY_EVENT:
                getattr(counts, _BY_EVENT[sample.name])[sample.labels["event"]] = sample.value
            elif sample.name == _DEAD:
                counts.dead += sample.value
            elif sample.name == _PARKED:
                counts.parked = sample.value
    return counts
