"""A real Prometheus scrapes the running reference flow, and evaluates all that is derived from its resource."""

import asyncio
import json
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.postgres import Postgres
from orderflow_model.flow import OrderFlow
from orderflow_operator.monitoring.dashboard import dashboard
from orderflow_operator.monitoring.settings import Monitoring
from orderflow_operator.resources import podmonitor, prometheusrule
from support.flow.fleet import Fleet, until
from support.flow.orders import mixture, open_fleet, shop_of, start_all
from support.records.prometheus import Prometheus, Target

pytestmark = pytest.mark.timeout(1200)  # the first run on a machine compiles Prometheus

NAMESPACE = "team-a"
ORDERS = 60
MAY_HAVE_NO_SERIES = ("events_dead", "events_parked", "events_retried", "recoveries", "calls_total{", "ALERTS")
"""What a flow that is well may never have counted."""


@dataclass(frozen=True)
class Monitored:
    """A flow at work, and who looks at it."""

    fleet: Fleet
    flow: OrderFlow
    prometheus: Prometheus
    rules: dict[str, Any]

    def queries(self) -> list[str]:
        """The dashboard's queries, with what Grafana would fill in."""
        found = [target["expr"] for panel in panels(self.flow) for target in panel.get("targets", ())]
        return [expr.replace("$__rate_interval", "30s").replace("$__range", "10m") for expr in found]

    def expressions(self) -> list[str]:
        """The rules' expressions."""
        return [rule["expr"] for group in self.rules["spec"]["groups"] for rule in group["rules"]]

    def names(self) -> set[str]:
        """The metrics that processes serve now: those that have no series yet are announced all the same."""
        found: set[str] = set()
        for service in self.flow.spec.services:
            address = self.fleet.url(f"{service.name}-0", "/metrics")
            with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - our own process, on loopback
                text = answer.read().decode()
            found |= set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
            found |= set(re.findall(r"^([a-z_]+)(?:\{| )", text, re.MULTILINE))
        return found


def panels(flow: OrderFlow) -> Iterator[dict[str, Any]]:
    """The panels of the dashboard, those of closed rows too."""
    for panel in json.loads(dashboard.text(flow))["panels"]:
        yield from (panel, *panel.get("panels", ()))


@pytest.fixture(scope="module")
def monitored(kafka: Kafka, postgres: Postgres, scratch: Path) -> Iterator[Monitored]:
    """The reference flow, after orders of every fate, scraped each second."""
    with open_fleet(kafka.bootstrap, postgres.admin_url, scratch) as fleet:
        start_all(fleet)
        metadata = fleet.flow.metadata.model_copy(update={"namespace": NAMESPACE})
        flow = fleet.flow.model_copy(update={"metadata": metadata})
        prometheus, rules = Prometheus(fleet.folder / "prometheus"), prometheusrule.build(flow, Monitoring())
        targets = [
            Target(fleet.ports[f"{one.name}-0"], flow.metadata.name, NAMESPACE, one.name, f"{one.name}-0")
            for one in flow.spec.services
        ]
        prometheus.start(podmonitor.build(flow, Monitoring()), rules, targets)
        try:
            asyncio.run(work(fleet, prometheus))
            yield Monitored(fleet, flow, prometheus, rules)
        finally:
            prometheus.stop()


async def work(fleet: Fleet, prometheus: Prometheus) -> None:
    """Let the flow do something, twice so that counters are seen to grow, and Prometheus see the end of it."""
    async with shop_of(fleet) as shop:
        for _ in range(2):
            for order in await shop.place_all(mixture(ORDERS)):
                await shop.until(order)
    counted = 'sum(orderflow_objective_runs_total{objective="completion"})'
    await until(lambda: (prometheus.value(counted) or 0) >= ORDERS, "runs are counted", 60, every=1)
    await asyncio.sleep(3)


def test_every_metric_asked_for_is_served(monitored: Monitored) -> None:
    """Each name in a rule or panel is one that a process of the flow serves, or one that the rules record."""
    asked = set(re.findall(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{", " ".join(monitored.queries() + monitored.expressions())))
    recorded = {
        rule["record"] for group in monitored.rules["spec"]["groups"] for rule in group["rules"] if "record" in rule
    }
    served = monitored.names()
    unknown = {name for name in asked - recorded - {"up", "ALERTS"} if name not in served}
    assert {name for name in unknown if re.sub(r"_(bucket|count)$", "", name) not in served} == set()


def test_every_query_of_the_dashboard_gives_what_its_panel_shows(monitored: Monitored) -> None:
    """No query is refused, and none is empty but those on trouble that there was not."""
    empty = [query for query in monitored.queries() if not monitored.prometheus.query(query)]
    assert [query for query in empty if not any(name in query for name in MAY_HAVE_NO_SERIES)] == []


def test_every_rule_is_evaluated_without_error(monitored: Monitored) -> None:
    """Prometheus itself says that each rule is well; what is recorded has series; nobody is called."""
    groups = monitored.prometheus.get("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == len(monitored.expressions())
    assert {(rule["health"], rule.get("lastError", "")) for rule in rules} == {("ok", "")}
    for rule in rules:
        assert rule["type"] == "alerting" or monitored.prometheus.query(rule["name"]), rule["name"]
    firing = {rule["name"] for rule in rules if rule.get("state") == "firing"}
    assert firing <= {"OrderFlowBudgetBurns"}, "on a busy machine runs may take longer than the objective allows"


def test_the_picture_has_the_edges_of_the_resource(monitored: Monitored) -> None:
    """The node graph's edges are services and events that the resource joins, and their ends are among its nodes."""
    (graph,) = [panel for panel in panels(monitored.flow) if panel["type"] == "nodeGraph"]
    nodes, edges = (
        [found["metric"] for found in monitored.prometheus.query(target["expr"].replace("$__rate_interval", "5m"))]
        for target in graph["targets"]
    )
    services = monitored.flow.spec.services
    said = {(one.name, event) for one in services for event in one.publishes}
    heard = {(event, one.name) for one in services for event in one.subscribes}
    drawn = {(edge["source"], edge["target"]) for edge in edges}
    assert drawn <= said | heard
    assert {("order", "ORDER_CREATED"), ("ORDER_CREATED", "inventory"), ("ORDER_CANCELLED", "payment")} <= drawn
    assert {end for edge in drawn for end in edge} == {node["id"] for node in nodes}
    assert len({edge["id"] for edge in edges}) == len(edges)


def test_series_say_whose_they_are(monitored: Monitored) -> None:
    """The PodMonitor's relabelings give each series its flow, service, namespace and pod."""
    owners = {
        (one["metric"]["flow"], one["metric"]["namespace"], one["metric"]["service"], one["metric"]["pod"])
        for one in monitored.prometheus.query("up")
    }
    name = monitored.flow.metadata.name
    assert owners == {(name, NAMESPACE, one.name, f"{one.name}-0") for one in monitored.flow.spec.services}


def test_a_service_that_dies_is_noticed(monitored: Monitored) -> None:
    """Its alert waits for its two minutes, and names it; no other service's does. The last test: it stays dead."""
    monitored.fleet.kill("notification-0")
    pending = 'ALERTS{alertname="OrderFlowServiceDown"}'

    async def noticed() -> None:
        await until(lambda: monitored.prometheus.query(pending), "the alert is pending", 30, every=0.5)

    asyncio.run(noticed())
    (alert,) = monitored.prometheus.query(pending)
    assert (alert["metric"]["service"], alert["metric"]["alertstate"]) == ("notification", "pending")
