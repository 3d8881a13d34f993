"""Each alert fires when what it speaks of happens, and is silent when it does not: `promtool test rules`, case by case.

A case is a course of series in promtool's notation, a value each minute or few, and whether the alert fires at its end.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from orderflow_model.loading.load import parse_flow
from orderflow_operator.monitoring.alerts.rules import all_alerts
from orderflow_operator.monitoring.settings import Monitoring
from orderflow_operator.resources import prometheusrule
from support.flow.flows import changed, service, shop
from support.flow.queue_bench import SOURCE
from support.records.prometheus import promtool

pytestmark = pytest.mark.timeout(1200)  # the first run on a machine compiles Prometheus

FLOW = parse_flow(
    changed(
        changed(
            changed(shop(), "metadata.namespace", "team-a"),
            "spec.services.5",
            service("source", publishes=["ORDER_CREATED"]),
        ),
        "spec.sources",
        [SOURCE],
    )
)
INVENTORY, PAYMENT = {"service": "inventory"}, {"service": "payment"}
LAG = 'orderflow_consumer_lag{service="inventory",topic="shop.order-created",partition="0",pod="i1"}'
BATCHES = 'orderflow_batch_size_count{service="inventory",pod="i1"}'
UNREAD = 'orderflow_unread_topic{service="inventory",topic="shop.order-created",pod="i1"}'
PARKED = 'orderflow_parked_oldest_seconds{service="payment",pod="p1"}'
OUTBOX = 'orderflow_outbox_oldest_seconds{service="payment",pod="p1"}'
DEAD = 'orderflow_events_dead_total{service="payment",event="STOCK_RESERVED",pod="p1"}'
RECOVERIES = 'orderflow_recoveries_total{service="payment",reason="StoreUnavailable",pod="p1"}'
KNOWN = 'orderflow_calls_total{service="payment",kind="capture",outcome="known",pod="p1"}'
UNKNOWN = 'orderflow_calls_total{service="payment",kind="capture",outcome="unknown",pod="p1"}'
STUCK = 'orderflow_saga_stuck{service="order",pod="o1"}'
STUCK_2 = 'orderflow_saga_stuck{service="order",pod="o2"}'
FAILED = 'orderflow_saga_runs{service="order",state="COMPENSATION_FAILED",pod="o1"}'
COMPLETED = 'orderflow_saga_runs{service="order",state="COMPLETED",pod="o1"}'
MET = 'orderflow_objective_runs_total{service="order",objective="completion",met="true",pod="o1"}'
MISSED = 'orderflow_objective_runs_total{service="order",objective="completion",met="false",pod="o1"}'
REFUSED = 'orderflow_source_messages_total{service="erp",outcome="refused",pod="e1"}'
OLDEST = 'orderflow_source_oldest_seconds{service="erp",pod="e1"}'
CONNECTED = 'orderflow_source_connected{service="erp",pod="e1"}'
ERP = {"service": "erp"}
UNREAD_LABELS = INVENTORY | {"topic": "shop.order-created"}
DEAD_LABELS = PAYMENT | {"event": "STOCK_RESERVED"}
LOOP_LABELS = PAYMENT | {"pod": "p1", "reason": "StoreUnavailable"}


def objective(window: str) -> dict[str, str]:
    """The labels of a burn alert."""
    return {"objective": "completion", "window": window}


def ended(met: str, missed: str) -> dict[str, str]:
    """Runs that ended within the objective's time, and not."""
    return {MET: met, MISSED: missed}


@dataclass(frozen=True)
class Case:
    """What happens, and after how many minutes the alert of these labels fires, or not."""

    alert: str
    what: str
    minute: int
    fires: bool
    series: dict[str, str]
    labels: dict[str, str] = field(default_factory=dict)
    severity: str = "warning"
    step: int = 1


def up(values: str, pod: str = "p1") -> dict[str, str]:
    """Whether a pod of payment could be scraped."""
    return {f'up{{service="payment",pod="{pod}"}}': values}


CASES = [
    Case("OrderFlowServiceDown", "its only pod is gone", 10, True, up("1x3 0x20"), PAYMENT, "critical"),
    Case("OrderFlowServiceDown", "it was never there", 5, True, {}, PAYMENT, "critical"),
    Case("OrderFlowServiceDown", "one of two pods is there", 10, False, up("0x20") | up("1x20", "p2"), PAYMENT),
    Case("OrderFlowServiceDown", "a pod is replaced", 10, False, up("1x7 0x1 1x9"), PAYMENT),
    Case("OrderFlowLagGrowing", "more waits each minute", 25, True, {LAG: "0+400x40"}, INVENTORY),
    Case("OrderFlowLagGrowing", "much waits, less each minute", 25, False, {LAG: "20000-300x40"}, INVENTORY),
    Case("OrderFlowLagGrowing", "it grows within what the pods are meant for", 25, False, {LAG: "0+200x40"}, INVENTORY),
    Case(
        "OrderFlowServiceStalled",
        "events wait and no batch ends",
        15,
        True,
        {LAG: "7x30", BATCHES: "10x30"},
        INVENTORY,
        "critical",
    ),
    Case("OrderFlowServiceStalled", "batches end", 15, False, {LAG: "7x30", BATCHES: "10+1x30"}, INVENTORY),
    Case("OrderFlowServiceStalled", "nothing waits", 15, False, {LAG: "0x30", BATCHES: "10x30"}, INVENTORY),
    Case("OrderFlowTopicUnread", "it stays so", 8, True, {UNREAD: "1x20"}, UNREAD_LABELS, "critical"),
    Case("OrderFlowTopicUnread", "its right comes a minute later", 8, False, {UNREAD: "1x1 _x20"}, UNREAD_LABELS),
    Case("OrderFlowParkedTooLong", "it waits on and on", 15, True, {PARKED: "0+60x20"}, PAYMENT),
    Case("OrderFlowParkedTooLong", "its retries take their time", 15, False, {PARKED: "0+60x6 0x20"}, PAYMENT),
    Case("OrderFlowOutboxStuck", "it is not published", 8, True, {OUTBOX: "0+60x20"}, PAYMENT, "critical"),
    Case("OrderFlowOutboxStuck", "the next batch comes half a minute later", 15, False, {OUTBOX: "30x20"}, PAYMENT),
    Case("OrderFlowDeadLetters", "the first of its series", 12, True, {DEAD: "_x10 1x150"}, DEAD_LABELS),
    Case("OrderFlowDeadLetters", "the first, most of an hour ago", 65, True, {DEAD: "_x10 1x150"}, DEAD_LABELS),
    Case("OrderFlowDeadLetters", "one more", 75, True, {DEAD: "5x70 6x80"}, DEAD_LABELS),
    Case("OrderFlowDeadLetters", "the last is hours old", 140, False, {DEAD: "_x10 1x150"}, DEAD_LABELS),
    Case("OrderFlowRecoveriesLooping", "each minute anew", 20, True, {RECOVERIES: "0+1x30"}, LOOP_LABELS),
    Case("OrderFlowRecoveriesLooping", "thrice, then well", 20, False, {RECOVERIES: "0x5 3x30"}, LOOP_LABELS),
    Case(
        "OrderFlowCallsUnknown",
        "two of three",
        30,
        True,
        {UNKNOWN: "0+2x40", KNOWN: "0+1x40"},
        PAYMENT | {"kind": "capture"},
    ),
    Case("OrderFlowCallsUnknown", "one of a hundred", 30, False, {UNKNOWN: "0+1x40", KNOWN: "0+99x40"}, PAYMENT),
    Case(
        "OrderFlowRunsStuck", "two, of which one has failed", 8, True, {STUCK: "2x20", FAILED: "1x20"}, {}, "critical"
    ),
    Case("OrderFlowRunsStuck", "none has ever failed", 8, True, {STUCK: "1x20"}, {}, "critical"),
    Case(
        "OrderFlowRunsStuck",
        "each of two pods tells of the one failed",
        8,
        False,
        {STUCK: "1x9", STUCK_2: "1x9", FAILED: "1x9"},
    ),
    Case("OrderFlowRunsStuck", "it is being taken back", 8, False, {STUCK: "0x6 1x1 0x9", FAILED: "0x20"}),
    Case("OrderFlowMessagesRefused", "one", 12, True, {REFUSED: "0x10 1x20"}, ERP),
    Case("OrderFlowMessagesRefused", "the last is hours old", 100, False, {REFUSED: "0x10 1x150"}, ERP),
    Case("OrderFlowSourceStalled", "one waits on and on", 20, True, {OLDEST: "0+60x30"}, ERP, "critical"),
    Case("OrderFlowSourceStalled", "its broker is away", 8, True, {CONNECTED: "1x1 0x20"}, ERP, "critical"),
    Case("OrderFlowSourceStalled", "it connects anew", 8, False, {CONNECTED: "0x3 1x20", OLDEST: "2x23"}, ERP),
    Case("OrderFlowCompensationFailed", "one", 3, True, {FAILED: "0x2 1x9", COMPLETED: "9x9"}, {}, "critical"),
    Case("OrderFlowCompensationFailed", "it was resumed", 8, False, {FAILED: "1x4 0x9", COMPLETED: "9x9"}),
    Case("OrderFlowCompensationFailed", "none", 8, False, {COMPLETED: "9x9"}),
    *(
        Case("OrderFlowBudgetBurns", what, minute, fires, ended(met, missed), objective(window), severity, step)
        for what, minute, fires, met, missed, window, severity, step in (
            ("a tenth is late, for an hour", 70, True, "0+9x120", "0+1x120", "1h", "critical", 1),
            ("a tenth was late, until ten minutes ago", 70, False, "0+9x120", "0+1x60 60x60", "1h", "critical", 1),
            ("a twentieth is late, for an hour", 70, False, "0+95x120", "0+5x120", "1h", "critical", 1),
            ("a twentieth is late, for six hours", 370, True, "0+95x42", "0+5x42", "6h", "critical", 10),
            ("a hundredth is late, for six hours", 370, False, "0+99x42", "0+1x42", "6h", "critical", 10),
            ("a hundredth is late, for days", 2000, True, "0+99x210", "0+1x210", "3d", "warning", 10),
            ("a thousandth is late, for days", 2000, False, "0+999x210", "0+1x210", "3d", "warning", 10),
            ("nothing ends at all", 70, False, "50x120", "1x120", "1h", "critical", 1),
        )
    ),
]

HEALTHY = {
    **{f'up{{service="{one.name}",pod="a"}}': "1x600" for one in FLOW.services},
    **{f'orderflow_consumer_lag{{service="{one.name}",pod="a"}}': "0 40 3x598" for one in FLOW.spec.services},
    **{f'orderflow_batch_size_count{{service="{one.name}",pod="a"}}': "0+9x600" for one in FLOW.spec.services},
    REFUSED: "0x600",
    OLDEST: "0 2x599",
    CONNECTED: "1x600",
    PARKED: "0x300 30x1 0x299",
    OUTBOX: "1x600",
    RECOVERIES: "1x600",
    KNOWN: "0+99x600",
    UNKNOWN: "0+1x600",
    STUCK: "0x600",
    COMPLETED: "0+100x600",
    MET: "0+999x600",
    MISSED: "0+1x600",
}


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rules of the reference flow, as Prometheus reads them from a file."""
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    groups = prometheusrule.build(FLOW, Monitoring())["spec"]["groups"]
    file.write_text(yaml.safe_dump({"groups": groups}))
    return file


def test_prometheus_takes_the_rules(rules: Path) -> None:
    """No unknown field, no expression or template that does not parse, no rule twice."""
    assert "SUCCESS" in promtool("check", "rules", "--lint=all", "--lint-fatal", rules.name, folder=rules.parent)


@pytest.mark.parametrize("case", CASES, ids=[f"{case.alert.removeprefix('OrderFlow')}: {case.what}" for case in CASES])
def test_an_alert_fires_when_it_should_and_only_then(case: Case, rules: Path) -> None:
    """The very alert, with its labels, is firing at that minute; or no alert of that name and these labels is."""
    check(case.series, case.step, {case.minute: expectation(case)}, rules)


def test_a_flow_that_is_well_alerts_nobody(rules: Path) -> None:
    """Ten hours of ordinary work, with a retry, a lost answer and a slow run now and then: nothing is even pending."""
    check(HEALTHY, 1, dict.fromkeys((0, 1, 5, 59, 301, 303, 599), ("ALERTS", [])), rules)


def test_every_alert_has_been_seen_to_fire_and_to_be_silent() -> None:
    """No alert is without a case of either kind."""
    names = {alert.name for alert in all_alerts(FLOW)}
    assert {case.alert for case in CASES if case.fires} == names
    assert {case.alert for case in CASES if not case.fires} == names


Said = tuple[str, list[dict[str, Any]]]
"""An expression and the samples that it is to give."""


def expectation(case: Case) -> Said:
    """What to ask Prometheus of its own alerts, and what it is to say."""
    wanted = {"alertname": case.alert, "alertstate": "firing", "flow": "shop", "namespace": "team-a"} | case.labels
    expr = f"ALERTS{_written(wanted)}"
    if not case.fires:
        return expr, []
    return expr, [{"labels": f"ALERTS{_written(wanted | {'severity': case.severity})}", "value": 1}]


def check(series: dict[str, str], step: int, said: dict[int, Said], rules: Path) -> None:
    """Have promtool play the series of the flow and compare what expressions give at these minutes."""
    test = {
        "interval": f"{step}m",
        "input_series": [{"series": _of_the_flow(name), "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": expr, "eval_time": f"{minute}m", "exp_samples": samples}
            for minute, (expr, samples) in said.items()
        ],
    }
    file = rules.parent / "test.yaml"
    content = {
        "rule_files": [rules.name],
        "group_eval_order": [group["name"] for group in yaml.safe_load(rules.read_text())["groups"]],
        "evaluation_interval": f"{step}m",
        "tests": [test],
    }
    file.write_text(yaml.safe_dump(content))
    promtool("test", "rules", file.name, folder=rules.parent)


def _of_the_flow(series: str) -> str:
    return series.replace("{", '{flow="shop",namespace="team-a",', 1)


def _written(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
