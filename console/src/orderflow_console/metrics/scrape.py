"""Reads what the services say of themselves: `/metrics` for the live view, `/readyz` to know when to begin.

A service is anybody's program: whatever it answers, a run goes on. What is no metrics is taken for no answer.
"""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

_TIMEOUT = aiohttp.ClientTimeout(total=2)
_MOST_BYTES = 1_048_576  # a service of 200 events says less than 100 KB
_BY_EVENT = {"orderflow_events_processed_total": "processed", "orderflow_events_published_total": "published"}
_OURS = "orderflow_"
_DEAD, _PARKED = "orderflow_events_dead_total", "orderflow_parked"


@dataclass
class Counts:
    """A service's counters since its start, by event, and what is parked now."""

    processed: dict[str, float] = field(default_factory=dict)
    published: dict[str, float] = field(default_factory=dict)
    dead: float = 0
    parked: float = 0


async def scrape(session: aiohttp.ClientSession, urls: Mapping[str, str]) -> dict[str, Counts]:
    """Return the counts of every service that gives any; `urls` gives base URLs by service."""
    texts = await asyncio.gather(*(_get(session, f"{url}/metrics") for url in urls.values()))
    counts = {name: _parse(text) for name, text in zip(urls, texts, strict=True) if text is not None}
    return {name: found for name, found in counts.items() if found is not None}


async def unready(session: aiohttp.ClientSession, urls: Mapping[str, str]) -> list[str]:
    """Return the services that do not say yet that they are ready; `urls` say where, by service."""
    answers = await asyncio.gather(*(_get(session, url) for url in urls.values()))
    return [name for name, answer in zip(urls, answers, strict=True) if answer is None]


async def _get(session: aiohttp.ClientSession, url: str) -> bytes | None:
    """Return the body of an answer with status 200, None where there is none of a size that a service gives."""
    body = bytearray()
    try:
        async with session.get(url, timeout=_TIMEOUT, allow_redirects=False) as answer:
            if answer.status != 200:
                return None
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > _MOST_BYTES:
                    return None
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None
    return bytes(body)


def _parse(text: bytes) -> Counts | None:
    """Return the counts in a service's metrics, zero where it has counted nothing yet; None for any other text."""
    counts, ours = Counts(), False
    try:
        for family in text_string_to_metric_families(text.decode()):
            ours = ours or family.name.startswith(_OURS)
            for sample in family.samples:
                _count(counts, sample)
    except Exception:  # the parser breaks over foreign text in ways of its own
        return None
    return counts if ours else None


def _count(counts: Counts, sample: Sample) -> None:
    """Add a sample to the counts where it is one of them; raise `ValueError` or `KeyError` on a bad one."""
    if sample.name not in (*_BY_EVENT, _DEAD, _PARKED):
        return
    if not (math.isfinite(sample.value) and sample.value >= 0):
        raise ValueError(f"{sample.name} counts {sample.value}")
    if sample.name == _DEAD:
        counts.dead += sample.value
    elif sample.name == _PARKED:
        counts.parked = sample.value
    else:
        getattr(counts, _BY_EVENT[sample.name])[sample.labels["event"]] = sample.value
