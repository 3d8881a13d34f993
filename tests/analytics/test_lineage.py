"""What a run tells of where data came from: from topics to the columns of marts, to a file or to an endpoint."""

import asyncio
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from orderflow_analytics.contracts.contract import load_contracts
from orderflow_analytics.lake.zones import Lake
from orderflow_analytics.lineage.datasets import Dataset, stored, topic
from orderflow_analytics.lineage.events import events_of, send
from orderflow_analytics.lineage.models import mart_columns
from orderflow_analytics.lineage.steps import Step, Told, curate_step, export_step, sink_step
from orderflow_analytics.lineage.telling import Lineage
from orderflow_analytics.marts.artifacts import read_artifacts
from orderflow_model import environment
from orderflow_model.postgres_uri import PostgresUri
from support.analytics.openlineage_java import read_strictly
from support.analytics.orders import PROJECT, completed, paid, placed
from support.analytics.stored import NOON, Site, cancelled, ran

SHOP_STEPS = {"sink", "export", "curate.ORDER_CREATED", "curate.PAYMENT_PROCESSED", "curate.ORDER_COMPLETED"}
Columns = dict[str, set[tuple[str, str]]]


@pytest.fixture
async def site(database: str, tmp_path: Path) -> Site:
    """A sink's table with one completed order, an empty lake, and the shop's models."""
    site = Site(database, tmp_path, {"models": str(PROJECT)})
    await site.prepare()
    await site.put([placed("o1"), paid("o1"), completed("o1")])
    return site


def told(site: Site) -> list[dict[str, Any]]:
    """Return the events in the lake's file."""
    file = site.lake / "lineage.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def columns(events: list[dict[str, Any]], job: str) -> Columns:
    """Return of a job that is complete each column that it wrote, with the datasets and columns it was made from."""
    (event,) = [one for one in events if one["job"]["name"] == job and one["eventType"] == "COMPLETE"]
    found: Columns = {}
    for output in event["outputs"]:
        for name, field in output["facets"].get("columnLineage", {"fields": {}})["fields"].items():
            found[name] = {(one["name"].rpartition("/")[2], one["field"]) for one in field["inputFields"]}
    return found


async def test_columns_are_followed_from_topics_to_marts(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step begins and completes under one run's id, and each step's inputs are the outputs of one before."""
    monkeypatch.setenv(environment.KAFKA_BOOTSTRAP, "127.0.0.1:9092")
    await ran(site)
    events = told(site)
    assert SHOP_STEPS | {"dbt.orders", "dbt.revenue"} <= {event["job"]["name"] for event in events}
    began, ended = (
        sorted(one["run"]["runId"] for one in events if one["eventType"] == state) for state in ("START", "COMPLETE")
    )
    assert began == ended
    assert len(set(began)) == len(began)
    outputs = {(one["namespace"], one["name"]) for event in events for one in event["outputs"]}
    inputs = {(one["namespace"], one["name"]) for event in events for one in event["inputs"]}
    empty = {("file", str(place)) for place in (site.lake / "curated").iterdir()}
    empty.add(("file", str(site.lake / "quarantine")))
    assert {namespace for namespace, _ in inputs - outputs - empty} == {"kafka://127.0.0.1:9092"}
    assert columns(events, "sink")["data"] >= {("shop.order-created", "data"), ("shop.order-completed", "data")}
    assert {one[1] for one in columns(events, "export")["stored_date"]} == {"stored_at"}
    assert columns(events, "curate.ORDER_CREATED")["lines"] == {("raw", "data")}
    mart = columns(events, "dbt.orders")
    assert mart["ordered_amount"] == {("order_created", "lines")}
    assert ("payment_processed", "amount") in mart["captured"]
    assert columns(events, "dbt.revenue")["currency"] == {("orders", "currency")}
    assert "only-for-tests" not in (site.lake / "lineage.jsonl").read_text()


async def test_what_wrote_nothing_tells_nothing_and_what_failed_says_why(site: Site) -> None:
    """A second run adds no line; one whose models contradict the data tells of the step that failed."""
    await ran(site)
    before = told(site)
    await ran(site)
    assert told(site) == before
    await site.put([placed("o2"), completed("o2")])
    refused = await asyncio.to_thread(site.run)
    assert refused.returncode == 1
    (failed,) = [event for event in told(site) if event["eventType"] == "FAIL"]
    assert failed["job"]["name"] == "dbt"
    assert "money_is_conserved" in failed["run"]["facets"]["errorMessage"]["message"]


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[list[int], list[dict[str, Any]]]]:
    """An endpoint that answers what the first list says, then 200; the second has what it was sent."""
    answers: list[int] = []
    heard: list[dict[str, Any]] = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(answers.pop(0) if answers else 200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Endpoint) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{server.server_port}")
        yield answers, heard
        server.shutdown()


async def test_an_endpoint_that_fails_fails_no_run(
    database: str, tmp_path: Path, endpoint: tuple[list[int], list[dict[str, Any]]]
) -> None:
    """It is not asked again in that run, and one line says so; the next run's events are sent to it."""
    site = Site(database, tmp_path)
    await site.prepare()
    answers, heard = endpoint
    await site.put([cancelled("o1")])
    answers.append(500)
    done = await asyncio.to_thread(site.run)
    assert (done.returncode, done.stderr.count("\n"), len(heard)) == (0, 1, 1)
    assert "lineage was not told" in done.stderr
    await site.put([cancelled("o2")])
    await ran(site)
    assert [event["job"]["name"] for event in heard[1:]] == ["export"] * 2 + ["curate.ORDER_CANCELLED"] * 2
    assert told(site) == []


def test_what_is_told_is_what_openlineages_own_reader_knows(tmp_path: Path) -> None:
    """Each event is read by its classes in Java, which refuse any field that they do not know; one of them failed."""
    lake, contracts = Lake(str(tmp_path), "shop"), load_contracts("orderflow_shop.events", {})
    table = stored(PostgresUri.parse("postgresql://postgres@127.0.0.1:5432/shop"))
    steps = [sink_step([topic("127.0.0.1:9092", "shop.order-created")], table), export_step(table, lake)]
    steps += [curate_step(lake, contract) for contract in contracts]
    lineage = Lineage("shop", lambda: NOON, tmp_path)
    with lineage.telling():
        for step in steps:
            lineage.note(step, NOON)
        lineage.note(steps[0], NOON, "Kafka was away")
    columns = sum(len(output.origins) for step in steps for output in step.outputs)
    assert read_strictly(tmp_path / "lineage.jsonl") == (2 * len(steps) + 2, columns)


def test_a_slow_endpoint_holds_a_run_up_for_half_a_minute_at_most(
    endpoint: tuple[list[int], list[dict[str, Any]]],
) -> None:
    """What it did not take by then is not sent; that is said."""
    seconds, now = iter((0.0, 0.0, 29.0, 31.0)), datetime(2026, 3, 1, tzinfo=UTC)
    made = [one for _ in range(2) for one in events_of("shop", Told(Step("export", (), ()), now, now))]
    with pytest.raises(TimeoutError, match="30 s"):
        send(os.environ["OPENLINEAGE_URL"], made, seconds.__next__)
    assert len(endpoint[1]) == 2


def test_a_model_that_has_no_place_of_its_own_is_seen_through(tmp_path: Path) -> None:
    """An ephemeral one stands in the SQL of those that read it; nothing fails by it."""
    sql = (
        "with __dbt__cte__stg as (select order_id as id from memory.main.order_created) select id from __dbt__cte__stg"
    )
    nodes = {
        "a": {"resource_type": "model", "name": "stg", "relation_name": None, "compiled_code": "select 1"},
        "b": {"resource_type": "model", "name": "mart", "relation_name": '"m"."main"."mart"', "compiled_code": sql},
    }
    table = {"relation_name": '"memory"."main"."order_created"', "name": "order_created"}
    (tmp_path / "manifest.json").write_text(json.dumps({"nodes": nodes, "sources": {"c": table}}))
    known = {"order_created": Dataset("file", "/lake/curated/order_created", {"order_id": "string"})}
    found = mart_columns(read_artifacts(tmp_path), known, frozenset({"mart"}))
    assert found == {"mart": {"id": [("order_created", "order_id")]}}
