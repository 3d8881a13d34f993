"""The page of the graph: what it shows, and that it does what a run by the command does."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from deltalake import DeltaTable

from orderflow_model import environment
from support.analytics.orders import PROJECT, completed, paid, placed
from support.analytics.stored import NOON, Site, cancelled, ran

REPOSITORY = {
    "repositoryName": "__repository__",
    "repositoryLocationName": "orderflow_analytics.orchestration.definitions:definitions",
}
NODES = """{ assetNodes { assetKey { path } dependencyKeys { path }
  assetChecksOrError { ... on AssetChecks { checks { name } } } } }"""
LAUNCH = """mutation($p: ExecutionParams!) { launchPipelineExecution(executionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
RUN = """query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"""
CHECKS = """query($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {
  ... on AssetCheckEvaluationEvent { evaluation { checkName success } } } } } }"""
SCHEDULES = """query($r: RepositorySelector!) { schedulesOrError(repositorySelector: $r) { ... on Schedules { results {
  cronSchedule scheduleState { status } } } } }"""
SECONDS = 120
TABLES = (
    "raw",
    "quarantine",
    "curated/order_created",
    "curated/payment_processed",
    "serving/orders",
    "serving/revenue",
)


@dataclass
class Page:
    """A page that runs: its process and its address."""

    process: subprocess.Popen[str]
    url: str

    def ask(self, query: str, **variables: Any) -> Any:
        """Return what it says to a query of GraphQL."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        asked = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310 - our own page
        with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 - our own page
            told = json.load(answer)
        assert "errors" not in told, told
        return told["data"]

    def run(self, job: str, **tags: str) -> str:
        """Launch a job; return its run's id when that has ended well."""
        told = {"tags": [{"key": f"dagster/{name}", "value": value} for name, value in tags.items()]}
        selector = REPOSITORY | {"pipelineName": job}
        asked = {"selector": selector, "mode": "default", "executionMetadata": told}
        launched = self.ask(LAUNCH, p=asked)["launchPipelineExecution"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run_id: str = launched["run"]["runId"]
        until(lambda: self.ask(RUN, id=run_id)["runOrError"]["status"] in ("SUCCESS", "FAILURE", "CANCELED"))
        assert self.ask(RUN, id=run_id)["runOrError"]["status"] == "SUCCESS"
        return run_id


def until(holds: Any) -> None:
    """Wait until something holds."""
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.3)


@pytest.fixture
async def site(database: str, tmp_path: Path) -> Site:
    """A sink's table with an order, an empty lake, the shop's models, a schedule that never comes in a test."""
    site = Site(database, tmp_path, {"models": str(PROJECT), "schedule": "0 0 29 2 *", "freshness": "1h"})
    await site.prepare()
    await site.put([placed("o1"), paid("o1"), completed("o1")], [cancelled("x", NOON, reason="WEATHER")])
    return site


@pytest.fixture
def page(site: Site) -> Iterator[Page]:
    """The page of its graph, in another lake than the site's; killed where a test has not ended it."""
    env = os.environ | {
        environment.LAKE: str(site.folder / "shown"),
        environment.DATABASE_URL: site.admin_url,
        "DAGSTER_HOME": str(site.folder / "dagster"),
    }
    command = [sys.executable, "-m", "orderflow_analytics", "ui", str(site.flow)]
    process = subprocess.Popen(
        command, env=env, cwd=site.folder, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().partition("http://")[2].partition(" ")[0]
        page = Page(process, f"http://{url}")
        until(lambda: process.poll() is None and answers(page))
        yield page
    finally:
        for one in session(process.pid):
            one.kill()
        process.wait()


def answers(page: Page) -> bool:
    """Return whether the page has loaded its graph."""
    with suppress(OSError):
        return bool(page.ask(NODES)["assetNodes"])
    return False


def session(leader: int) -> list[psutil.Process]:
    """Return the processes of a session that live."""
    found = []
    for one in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.Error):
            if os.getsid(one.pid) == leader and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
    return found


async def test_the_graph_does_what_a_run_does_and_ends_with_nothing_left(site: Site, page: Page) -> None:
    """From stored events to marts and tests, on a schedule: all tables, also of a day made anew, are as a run's."""
    nodes = {"/".join(one["assetKey"]["path"]): one for one in page.ask(NODES)["assetNodes"]}
    below = {name: {"/".join(key["path"]) for key in node["dependencyKeys"]} for name, node in nodes.items()}
    assert below["raw/delta"] == {"raw/events"}
    assert below["lake/order_created"] == {"raw/delta"}
    assert {"lake/order_cancelled", "stg_steps", "stg_placed"} <= below["marts/orders"]
    checks = {check["name"] for one in nodes.values() for check in one["assetChecksOrError"].get("checks", ())}
    assert {"money_is_conserved", "stock_is_conserved", "fresh", "unique_orders_order_id"} <= checks
    (schedule,) = page.ask(SCHEDULES, r=REPOSITORY)["schedulesOrError"]["results"]
    assert (schedule["cronSchedule"], schedule["scheduleState"]["status"]) == ("0 0 29 2 *", "RUNNING")
    run_id = page.run("refresh")
    events = page.ask(CHECKS, id=run_id)["logsForRun"]["events"]
    judged = {one["evaluation"]["checkName"]: one["evaluation"]["success"] for one in events if one}
    assert judged.keys() == checks
    assert all(judged.values())
    await ran(site)
    shown = Site.__new__(Site)
    shown.lake = site.folder / "shown"
    for table in TABLES:
        assert sorted(map(str, shown.rows(table))) == sorted(map(str, site.rows(table))), table
    before = shown.versions()
    page.run("refresh")
    assert shown.versions() == before
    DeltaTable(shown.lake / "curated" / "order_created").delete()
    page.run("rebuild_day", partition=NOON.date().isoformat())
    for table in TABLES:
        assert sorted(map(str, shown.rows(table))) == sorted(map(str, site.rows(table))), table
    os.kill(page.process.pid, signal.SIGINT)
    page.process.wait(60)
    until(lambda: not session(page.process.pid))
