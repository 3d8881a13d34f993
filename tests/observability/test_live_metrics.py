"""All metrics of a running flow, scraped as Prometheus does, against what database and broker say happened."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.postgres import Postgres
from orderflow_model.names import schema_name
from orderflow_shop.events import ShipmentCreated
from support.flow.fleet import Fleet, until
from support.flow.oracles import until_at_rest
from support.flow.orders import Shop, mixture, open_fleet, order, order_id_of, shop_of, start_all
from support.records.raw_events import send

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
ORDERS = 60
ACCEPT = {"accept": "application/openmetrics-text; version=1.0.0"}

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
"""By name and labels."""


@pytest.fixture(scope="module")
def fleet(kafka: Kafka, postgres: Postgres, scratch: Path) -> Iterator[Fleet]:
    """The reference flow, running."""
    quick = {"retries": 2, "delay": "100ms", "maxDelay": "1s"}
    with open_fleet(kafka.bootstrap, postgres.admin_url, scratch, delivery=quick) as fleet:
        start_all(fleet)
        yield fleet


@pytest.fixture(scope="module")
def scraped(fleet: Fleet) -> dict[str, Samples]:
    """What every service tells after orders of every fate and an event of none, once its housekeeping came round."""
    return asyncio.run(_work_and_scrape(fleet))


async def _work_and_scrape(fleet: Fleet) -> dict[str, Samples]:
    async with shop_of(fleet) as shop:
        await _work(shop)
    found: dict[str, Samples] = {}

    async def settled() -> bool:
        found.update({service.name: await scrape(fleet, service.name) for service in fleet.flow.spec.services})
        return total(found["order"], "orderflow_objective_runs_total") == ORDERS

    await until(settled, "housekeeping has come round", every=0.5)
    await asyncio.sleep(11)  # until every measure was taken once more, at rest
    await settled()
    return found


async def _work(shop: Shop) -> None:
    await shop.place_all(mixture(ORDERS))
    odd = [("traceparent", b"none")]
    send(shop.fleet, ShipmentCreated(order_id=order_id_of(order()), tracking="STRAY"), trace=odd)
    await until_at_rest(shop.fleet, ORDERS)

    async def dead() -> bool:
        return bool(await shop.fleet.fetch('SELECT FROM "order".dead_letters'))

    await until(dead, "the stray event is given up")


async def scrape(fleet: Fleet, service: str) -> Samples:
    """One scrape of one process, in OpenMetrics."""
    url = fleet.url(f"{service}-0", "/metrics")
    async with aiohttp.ClientSession() as http, http.get(url, headers=ACCEPT) as answer:
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        families = text_string_to_metric_families(await answer.text())
        return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def total(samples: Samples, name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels."""
    return sum(n for (of, has), n in samples.items() if of == name and labels.items() <= dict(has).items())


def by_event(samples: Samples, name: str) -> dict[str, float]:
    """A metric's samples by their event, timers and calls left out."""
    found = {dict(labels)["event"]: n for (of, labels), n in samples.items() if of == name}
    return {event: n for event, n in found.items() if "/" not in event}


def test_every_metric_of_the_page_is_there(scraped: dict[str, Samples]) -> None:
    """Names in the text end as their type asks."""
    names = {name for samples in scraped.values() for name, _ in samples}
    suffix = {"counter": "_total", "histogram": "_bucket", "gauge": ""}
    listed = re.findall(r"^\| `(orderflow_\w+)` \| (\w+) \|", PAGE.read_text(), re.MULTILINE)
    never = {"orderflow_recoveries_total", "orderflow_refused_messages", "orderflow_unread_topic"}
    never |= {"orderflow_measure_failures_total"}  # nothing went wrong
    never |= {"orderflow_events_dropped_total"}  # of programs that take events by HTTP, which the shop has none of
    assert {name + suffix[kind] for name, kind in listed} - names <= never


async def test_events_are_counted_as_the_inboxes_have_them(fleet: Fleet, scraped: dict[str, Samples]) -> None:
    """What a service handled or gave up is what it took in; what all published is what all took in, each once."""
    published: defaultdict[str, float] = defaultdict(float)
    seen: defaultdict[str, set[Any]] = defaultdict(set)
    for service, samples in scraped.items():
        rows = await fleet.fetch(f'SELECT type, id FROM "{schema_name(service)}".inbox')  # noqa: S608 - a fixed name
        inbox: defaultdict[str, int] = defaultdict(int)
        for row in rows:
            inbox[row["type"]] += 1
            seen[row["type"]].add(row["id"])
        processed, dead = (by_event(samples, f"orderflow_events_{what}_total") for what in ("processed", "dead"))
        assert {e: processed.get(e, 0) + dead.get(e, 0) for e in processed | dead} == inbox
        assert by_event(samples, "orderflow_event_age_seconds_count") == processed
        for event, n in by_event(samples, "orderflow_events_published_total").items():
            published[event] += n
    seen["SHIPMENT_CREATED"].pop()  # the stray one
    assert published == {event: len(ids) for event, ids in seen.items()}
    assert total(scraped["order"], "orderflow_events_dead_total") == 1
    assert total(scraped["order"], "orderflow_events_parked_total") == 2
    assert total(scraped["order"], "orderflow_events_retried_total") == 2


async def test_at_rest_nothing_waits_and_nothing_is_behind(scraped: dict[str, Samples], fleet: Fleet) -> None:
    """Lag of every partition is told and 0; outbox, parked, calls: 0."""
    for service, samples in scraped.items():
        lag = [n for (name, _), n in samples.items() if name == "orderflow_consumer_lag"]
        owned = await fleet.fetch(f'SELECT FROM "{schema_name(service)}".offsets')
        assert (len(lag), sum(lag)) == (len(owned), 0)
        assert total(samples, "orderflow_leases") == len(owned)
        assert total(samples, "orderflow_lease_changes_total", change="taken") == len(owned)
        for name in ("outbox_rows", "outbox_oldest_seconds", "parked", "parked_oldest_seconds", "calls_waiting"):
            assert samples[f"orderflow_{name}", frozenset()] == 0, (service, name)


async def test_runs_are_told_as_the_orders_stand(fleet: Fleet, scraped: dict[str, Samples]) -> None:
    """States, ends and objectives add up to the orders; none is stuck."""
    rows = await fleet.fetch('SELECT state, count(*) AS n FROM "order".orders GROUP BY state')
    states = {row["state"]: row["n"] for row in rows}
    samples = scraped["order"]
    assert {state: total(samples, "orderflow_saga_runs", state=state) for state in states} == states
    for end in ("COMPLETED", "CANCELLED"):
        assert total(samples, "orderflow_saga_seconds_count", end=f"ORDER_{end}") == states[end]
    assert total(samples, "orderflow_objective_runs_total", objective="completion") == ORDERS
    within = sum(
        n
        for (name, labels), n in samples.items()
        if name == "orderflow_saga_seconds_bucket" and ("le", "5.0") in labels
    )
    assert total(samples, "orderflow_objective_runs_total", met="true") == within
    assert samples["orderflow_saga_stuck", frozenset()] == 0


async def test_money_stock_and_calls_are_told_as_they_are(fleet: Fleet, scraped: dict[str, Samples]) -> None:
    """The figures of the tables, which balance; every answered call is one that payment or notification made."""
    captured, refunded = (total(scraped["payment"], f"orderflow_payment_{of}_cents") for of in ("captured", "refunded"))
    sums = (await fleet.fetch("SELECT sum(captured) AS c, sum(refunded) AS r FROM payment.payment"))[0]
    assert (captured, refunded) == (sums["c"], sums["r"])
    assert captured == refunded + total(scraped["shipping"], "orderflow_shipped_cents")
    assert total(scraped["inventory"], "orderflow_stock_reserved") == 0
    for service in ("payment", "notification"):
        answered = await fleet.fetch(
            f"SELECT substr(type, 6) AS kind, count(*) AS n FROM {service}.journal WHERE what = 'ANSWERED' GROUP BY 1"  # noqa: S608 - a fixed name
        )
        for row in answered:
            told = total(scraped[service], "orderflow_calls_total", kind=row["kind"], outcome="known")
            assert told == row["n"]
            asked = total(scraped[service], "orderflow_calls_total", kind=row["kind"])
            assert total(scraped[service], "orderflow_call_seconds_count", kind=row["kind"]) == asked
    assert total(scraped["payment"], "orderflow_calls_total", outcome="unknown") > 0
