"""From the picture to its alerts and its dashboard: what they watch for follows what the resource says."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import parse_flow
from orderflow_operator.monitoring.settings import Monitoring
from orderflow_operator.resources.build_context import BuildContext, Database
from orderflow_operator.resources.desired import desired
from support.flow.queue_bench import SOURCE

RUNBOOKS = Path(__file__).parents[3] / "docs" / "runbooks"
GOLDEN = Path(__file__).parent / "golden"
Json = dict[str, Any]


@pytest.fixture
def monitored() -> BuildContext:
    """A cluster that serves the Prometheus operator's APIs."""
    return BuildContext(database=Database(), monitoring=Monitoring())


def made(document: Json, context: BuildContext, kind: str) -> Json:
    """The flow's one object of a kind; of ConfigMaps, the dashboard."""
    found = [one for one in desired(parse_flow(document), context) if one["kind"] == kind]
    (one,) = [one for one in found if kind != "ConfigMap" or one["metadata"]["name"].endswith(".dashboard")]
    return one


def rules(document: Json, context: BuildContext, alert: str, **labels: str) -> list[Json]:
    """The rules of an alert that have these labels."""
    groups = made(document, context, "PrometheusRule")["spec"]["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if rule.get("alert") == alert]
    return [rule for rule in alerts if labels.items() <= rule["labels"].items()]


def panels(document: Json, context: BuildContext) -> Iterator[Json]:
    """The panels of the dashboard, those of closed rows too."""
    (text,) = made(document, context, "ConfigMap")["data"].values()
    for panel in json.loads(text)["panels"]:
        yield panel
        yield from panel.get("panels", ())


@pytest.mark.parametrize("kind", ["PodMonitor", "PrometheusRule"])
def test_objects_are_those_reviewed_by_eye(kind: str, document: Json, monitored: BuildContext) -> None:
    """They stand in golden files, written out as a person would read them."""
    golden = yaml.safe_load((GOLDEN / f"{kind.lower()}.yaml").read_text())
    assert made(document, monitored, kind) == golden


def test_nothing_is_made_where_nobody_would_read_it(shop: OrderFlow, monitored: BuildContext) -> None:
    """Without the APIs there is no monitor, no rule and no dashboard, and all else is the same."""
    with_, without = desired(shop, monitored), desired(shop, BuildContext(database=Database()))
    extra = [one for one in with_ if one not in without]
    assert [one["kind"] for one in extra] == ["PodMonitor", "PrometheusRule", "ConfigMap"]
    assert [one for one in with_ if one in without] == without


def test_labels_and_address_of_the_options_are_on_the_objects(document: Json) -> None:
    """A Prometheus that looks for a label of its own finds them, and pages lead to where they are published."""
    monitoring = Monitoring("https://pages.example/runbooks/", {"release": "prometheus"})
    context = BuildContext(database=Database(), monitoring=monitoring)
    for kind in ("PodMonitor", "PrometheusRule"):
        assert made(document, context, kind)["metadata"]["labels"]["release"] == "prometheus"
    (rule,) = rules(document, context, "OrderFlowRunsStuck")
    assert rule["annotations"]["runbook_url"] == "https://pages.example/runbooks/runs-stuck.md"


def test_every_alert_has_its_page_and_every_page_its_alert(document: Json, monitored: BuildContext) -> None:
    """The pages that alerts lead to are those that exist; each names its alert."""
    document["spec"]["sources"] = [SOURCE]
    lake = {"url": "s3://lake/shop", "image": "i:1"}
    document["spec"]["analytics"] = {"image": "i:1", "freshness": "1h", "lake": lake}
    groups = made(document, monitored, "PrometheusRule")["spec"]["groups"]
    alerts = {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}
    pages = {Path(rule["annotations"]["runbook_url"]).name: name for name, rule in alerts.items()}
    assert set(pages) == {page.name for page in RUNBOOKS.glob("*.md")} - {"README.md"}
    for page, alert in pages.items():
        assert alert in (RUNBOOKS / page).read_text()


def test_alerts_say_whose_they_are_and_how_bad(document: Json, monitored: BuildContext) -> None:
    """Every alert has a severity, its flow and namespace, and a sentence for the person who gets it."""
    groups = made(document, monitored, "PrometheusRule")["spec"]["groups"]
    for rule in [rule for group in groups for rule in group["rules"] if "alert" in rule]:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert (rule["labels"]["flow"], rule["labels"]["namespace"]) == ("shop", "team-a")
        assert all(rule["annotations"][name] for name in ("summary", "description"))


def test_lag_is_measured_by_the_scale(document: Json, monitored: BuildContext) -> None:
    """The limit is what the most pods are meant to have waiting: twelve pods of 500 for inventory, then one of 7."""
    (before,) = rules(document, monitored, "OrderFlowLagGrowing", service="inventory")
    document["spec"]["services"][1]["scale"] = {"lag": 7}
    (after,) = rules(document, monitored, "OrderFlowLagGrowing", service="inventory")
    assert "> 6000 and deriv(" in before["expr"]
    assert "> 7 and deriv(" in after["expr"]


@pytest.mark.parametrize(
    ("delivery", "limit"),
    [
        ({"retries": 0, "timeout": "1s"}, 60),  # never less than a minute
        ({"retries": 2, "backoff": "Fixed", "delay": "1m", "timeout": "10s"}, 2 * (120 + 30)),
        ({"retries": 3, "backoff": "Linear", "delay": "10s", "timeout": "10s"}, 2 * (60 + 40)),
        ({"retries": 4, "backoff": "Exponential", "delay": "1m", "maxDelay": "3m"}, 2 * (60 + 120 + 180 + 180 + 150)),
    ],
)
def test_parked_is_too_long_after_all_retries(
    document: Json, monitored: BuildContext, delivery: Json, limit: int
) -> None:
    """Twice what all retries take at their longest: an event may wait behind one of its key that was retried so."""
    document["spec"]["services"][2]["delivery"] = delivery
    (rule,) = rules(document, monitored, "OrderFlowParkedTooLong", service="payment")
    assert rule["expr"].endswith(f"> {limit}")


@pytest.mark.parametrize(("deadline", "held"), [("1m", "1m"), ("15m", "1m30s"), ("1h", "6m"), ("72h", "15m")])
def test_a_run_is_stuck_a_tenth_of_its_deadline_later(
    document: Json, monitored: BuildContext, deadline: str, held: str
) -> None:
    """A run that the deadline ends gets that time to be taken back, between one and fifteen minutes."""
    document["spec"]["saga"]["deadline"] = deadline
    (rule,) = rules(document, monitored, "OrderFlowRunsStuck")
    assert rule["for"] == held


@pytest.mark.parametrize(
    ("target", "thresholds"),
    [
        ("99.5", ["0.072", "0.03", "0.005"]),
        ("99.95", ["0.0072", "0.003", "0.0005"]),
        ("90", ["0.55", "0.55", "0.1"]),  # 14.4 or 6 times 10 % is more than could ever be missed, or nearly
        ("20", ["0.9", "0.9", "0.8"]),
    ],
)
def test_budgets_burn_by_the_target(
    document: Json, monitored: BuildContext, target: str, thresholds: list[str]
) -> None:
    """Factors of the budget, capped where a low target leaves less room than they ask for."""
    document["spec"]["objectives"][0]["target"] = target
    burning = rules(document, monitored, "OrderFlowBudgetBurns")
    assert [rule["expr"].split(" > ")[1].split(" and ")[0] for rule in burning] == thresholds
    assert [rule["labels"]["severity"] for rule in burning] == ["critical", "critical", "warning"]


def test_without_a_saga_nobody_asks_for_runs(document: Json, monitored: BuildContext) -> None:
    """A flow without a saga has no alert, record or panel about runs, whatever it promises."""
    del document["spec"]["saga"]
    text = json.dumps([made(document, monitored, "PrometheusRule"), list(panels(document, monitored))])
    assert "orderflow_saga" not in text
    assert "objective" not in text


def test_a_service_that_only_publishes_has_no_lag(document: Json, monitored: BuildContext) -> None:
    """It reads nothing, so nothing waits for it."""
    document["spec"]["services"].append({"name": "source", "image": "a:1", "publishes": ["ORDER_CREATED"]})
    assert not rules(document, monitored, "OrderFlowLagGrowing", service="source")
    assert rules(document, monitored, "OrderFlowOutboxStuck", service="source")


def test_panels_have_their_own_numbers_and_places(document: Json, monitored: BuildContext) -> None:
    """No two panels share a number or a place, and none reaches out of the grid."""
    everything = list(panels(document, monitored))
    assert len({panel["id"] for panel in everything}) == len(everything)
    taken: set[tuple[int, int]] = set()
    for panel in [one for one in everything if not one.get("collapsed") and "Service" not in one["title"]]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        inside = any(panel in row.get("panels", ()) for row in everything)
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert inside or not cells & taken
        taken |= set() if inside else cells


def test_the_dashboard_has_the_rows_of_the_flow(document: Json, monitored: BuildContext) -> None:
    """The picture, the events, the saga, the objectives, and one row for each service."""
    titles = [panel["title"] for panel in panels(document, monitored) if panel["type"] == "row"]
    services = [f"Service {service['name']}" for service in document["spec"]["services"]]
    assert titles == ["Now", "Picture", "Events", "Saga", "Objectives", *services]


def test_a_dashboard_keeps_its_address(document: Json, monitored: BuildContext) -> None:
    """An edit of the flow leaves the address as it is; another namespace's flow of that name has another."""
    (before,) = made(document, monitored, "ConfigMap")["data"]
    document["spec"]["services"][0]["scale"] = {"min": 2, "max": 2}
    (edited,) = made(document, monitored, "ConfigMap")["data"]
    document["metadata"]["namespace"] = "team-b"
    (elsewhere,) = made(document, monitored, "ConfigMap")["data"]
    assert before == edited != elsewhere


def test_the_largest_flow_fits(document: Json, monitored: BuildContext) -> None:
    """Of the most services, events and objectives a resource can have, neither object comes near what etcd takes."""
    names = [f"EVENT_{number}_{'X' * 80}" for number in range(199)]
    document["spec"]["events"] = [{"name": name} for name in ["ORDER_CREATED", *names]]
    document["spec"]["services"] = [
        {"name": f"s-{number:02}-{'x' * 16}", "image": "a:1", "subscribes": names, "publishes": names}
        for number in range(50)
    ]
    document["spec"]["saga"] = {"begins": "ORDER_CREATED", "ends": names[:20], "deadline": "15m"}
    document["spec"]["objectives"] = [{"name": f"o-{n}", "target": "99", "within": "5s"} for n in range(20)]
    for kind in ("PrometheusRule", "ConfigMap"):
        assert len(json.dumps(made(document, monitored, kind))) < 512 * 1024


def test_flows_are_told_apart_by_every_query(
    document: Json, monitored: BuildContext, shop: OrderFlow, build: Callable[..., Any]
) -> None:
    """No selector leaves out flow or namespace: two flows in one Prometheus never mix."""
    groups = made(document, monitored, "PrometheusRule")["spec"]["groups"]
    queries = [rule["expr"] for group in groups for rule in group["rules"]]
    queries += [target["expr"] for panel in panels(document, monitored) for target in panel.get("targets", ())]
    for query in queries:
        for selector in query.split("{")[1:]:
            assert selector.startswith('flow="shop",namespace="team-a"'), query


def test_a_lake_is_watched_for_as_long_as_the_resource_lets_it_be_old(document: Json, monitored: BuildContext) -> None:
    """A program that begins again and again tells no time: its absence counts too. Without freshness nobody is told."""
    analytics = {"image": "i:1", "freshness": "1h", "lake": {"url": "s3://lake/shop", "image": "i:1"}}
    document["spec"]["analytics"] = analytics
    (rule,) = rules(document, monitored, "OrderFlowLakeStale", service="lake")
    assert "> 3600 or absent_over_time(orderflow_lake_synced_timestamp_seconds" in rule["expr"]
    del analytics["freshness"]
    assert rules(document, monitored, "OrderFlowLakeStale") == []
