"""What a process tells of itself at /metrics: each figure against what happened."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from orderflow_model.service_config import ObjectiveConfig
from orderflow_runtime.core.store import StoreUnavailable
from orderflow_runtime.observability import database_gauges
from orderflow_runtime.observability.batch_histogram import BatchHistogram
from orderflow_runtime.observability.database_gauges import DatabaseGauges, check_measures
from orderflow_runtime.observability.measure_faults import MeasureFaults
from orderflow_runtime.observability.metrics import Metrics
from orderflow_runtime.observability.metrics_page import render
from orderflow_runtime.observability.saga_durations import SagaDurations
from orderflow_runtime.service import Measure
from orderflow_runtime.settings import MisconfiguredError
from orderflow_runtime.testing import Harness
from orderflow_runtime.tracing.trace_context import Trace
from support.runtime.running import Bench
from support.runtime.sample_service import Done, Put, Script, sample_service

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class Rows:
    """A store that answers each query with the next of its answers: rows, or an error."""

    def __init__(self, *answers: Sequence[Mapping[str, Any]] | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[Any, ...]] = []

    async def read(self, query: str, *args: object) -> Sequence[Mapping[str, Any]]:
        """Give the next answer."""
        self.asked.append((query, *args))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    """Give a sample's value."""
    return registry.get_sample_value(f"orderflow_{name}", labels)


@given(st.lists(st.lists(st.floats(0, 100), max_size=20), max_size=5))
def test_a_batch_of_values_fills_the_buckets_of_the_librarys_histogram(batches: list[list[float]]) -> None:
    """Any batches give the same counts and sums as observing each value alone."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    bounds = (0.5, 1, 2.5, 50)
    taken = BatchHistogram("h", "", "event", bounds, ours)
    single = Histogram("h", "", ["event"], buckets=bounds, registry=theirs)
    for batch in batches:
        taken.observe("E", batch)
        single.labels("E")
        for number in batch:
            single.labels("E").observe(number)
    for name in ("h_bucket", "h_count"):
        assert samples(ours, name) == samples(theirs, name)
    assert math.isclose(samples(ours, "h_sum").get("", 0), samples(theirs, "h_sum").get("", 0))


def test_what_two_clocks_make_negative_is_nothing() -> None:
    """An event from a host that is ahead has no age, and takes none from the others."""
    registry = CollectorRegistry()
    BatchHistogram("h", "", "event", (1,), registry).observe("E", [-5, 2])
    assert registry.get_sample_value("h_sum", {"event": "E"}) == 2
    assert registry.get_sample_value("h_bucket", {"event": "E", "le": "1.0"}) == 1


def samples(registry: CollectorRegistry, name: str) -> dict[str, float]:
    """Give samples of one name by their bucket."""
    found = (sample for family in registry.collect() for sample in family.samples if sample.name == name)
    return {sample.labels.get("le", ""): sample.value for sample in found}


@pytest.mark.parametrize(
    ("traceparent", "trace"),
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01", TRACE),
        (f"00-{TRACE}-00f067aa0ba902b7-03", TRACE),
        (f"00-{TRACE}-00f067aa0ba902b7-00", None),
        ("00", None),
        (None, None),
    ],
)
def test_only_recorded_traces_become_exemplars(traceparent: str | None, trace: str | None) -> None:
    """An exemplar that leads to no trace would only mislead."""
    assert Trace(traceparent).recorded == trace


async def test_every_attempt_of_an_event_is_counted_where_it_belongs() -> None:
    """One event at once, one at its third attempt, one dead after its last."""
    bench = Bench()
    bench.script.refuse = {("late", 1): 3, ("dead", 1): 99}  # the first attempt is made twice: in a set, then alone
    async with bench.running() as instance:
        for thing in ("well", "late", "dead"):
            bench.send(Put(thing=thing, n=1))
            await bench.until(lambda: bench.letters() if thing == "dead" else bench.effects_of(thing), "an end")  # noqa: B023 - awaited in the loop
        await bench.until(lambda: not any(instance.worker.lag().values()), "nothing left to read")
        registry = instance.metrics.registry
    retries = bench.config.delivery.retries
    assert value(registry, "events_processed_total", event="PUT") == 2
    assert value(registry, "events_published_total", event="DONE") == 2
    assert value(registry, "events_dead_total", event="PUT") == 1
    assert value(registry, "events_parked_total", event="PUT") == 2 + retries
    assert value(registry, "events_retried_total", event="PUT") == 2 + retries
    assert value(registry, "event_age_seconds_count", event="PUT") == 2
    taken = value(registry, "lease_changes_total", change="taken")
    assert taken
    assert taken == value(registry, "lease_changes_total", change="lost")
    assert value(registry, "leases") == 0


async def test_lag_is_what_is_not_handled_yet() -> None:
    """While a handler holds, the records behind it are lag; at rest there is none."""
    bench, gate = Bench(), asyncio.Event()
    bench.script.pause = gate.wait  # type: ignore[assignment]  # a pause by hand
    async with bench.running() as instance:
        for n in range(5):
            bench.send(Put(thing="k", n=n))
        await bench.until(lambda: sum(instance.worker.lag().values()) == 5, "five behind")
        gate.set()
        await bench.until(lambda: not any(instance.worker.lag().values()), "none behind")
        assert instance.worker.lag().keys() == instance.log.assigned()


async def test_answered_and_unanswered_calls_are_told_apart() -> None:
    """A lost answer is an unknown outcome, and the question after it a known one."""
    bench = Bench()
    bench.outside.answers = ["lost"]
    async with bench.running() as instance:
        bench.send(Put(thing="k", n=1, do=("call",)))
        await bench.until(lambda: len(bench.effects()) == 2, "the outcome")
        registry = instance.metrics.registry
    assert value(registry, "calls_total", kind="outside", outcome="unknown") == 1
    assert value(registry, "calls_total", kind="outside", outcome="known") == 1
    assert value(registry, "call_seconds_count", kind="outside") == 2


async def test_runs_are_measured_from_their_rows_and_judged_by_the_objectives() -> None:
    """Begin is the service's own row; a run it leaves out is not counted."""
    objectives = (ObjectiveConfig(name="soon", within_ms=700), ObjectiveConfig(name="ever", within_ms=3_600_000))
    metrics = Metrics(lambda: NOW, ("DONE",), objectives)
    store = Rows([{"key": key, "began": NOW - timedelta(seconds=age)} for key, age in (("a", 0.2), ("b", 2))])
    runs = SagaDurations("began", objectives, store, metrics)  # type: ignore[arg-type]  # a part of a store
    metrics.publish([Done(thing=thing) for thing in "abc"], {"b": bytes.fromhex(TRACE)})
    metrics.publish([Put(thing="a")])
    await runs.settle()
    await runs.settle()
    assert store.asked == [("began", ["a", "b", "c"])]
    assert value(metrics.registry, "saga_seconds_count", end="DONE") == 2
    assert value(metrics.registry, "saga_seconds_sum", end="DONE") == pytest.approx(2.2)
    assert value(metrics.registry, "saga_seconds_bucket", end="DONE", le="0.7") == 1
    for name, met, count in (("soon", "true", 1), ("soon", "false", 1), ("ever", "true", 2), ("ever", "false", 0)):
        assert value(metrics.registry, "objective_runs_total", objective=name, met=met) == count
    assert exemplars(metrics, OPENMETRICS) == {("orderflow_saga_seconds_bucket", "2.5"): TRACE}
    assert exemplars(metrics, "text/plain") == {}


def exemplars(metrics: Metrics, accept: str) -> dict[tuple[str, str], str]:
    """Give trace ids by sample and bucket, as a scrape sees them."""
    metrics.refresh({})
    body, media_type = render({"sample": metrics.registry}, accept)
    if not media_type.startswith("application/openmetrics-text"):
        assert b"trace_id" not in body
        return {}
    found = (sample for family in text_string_to_metric_families(body.decode()) for sample in family.samples)
    return {(s.name, s.labels["le"]): s.exemplar.labels["trace_id"] for s in found if s.exemplar}


async def test_runs_that_ended_while_postgres_is_away_are_measured_later() -> None:
    """Nothing that ended is forgotten by a read that fails."""
    metrics = Metrics(lambda: NOW, ("DONE",))
    runs = SagaDurations("began", (), Rows(StoreUnavailable("away"), [{"key": "a", "began": NOW}]), metrics)  # type: ignore[arg-type]  # as above
    metrics.publish([Done(thing="a")])
    with pytest.raises(StoreUnavailable):
        await runs.settle()
    await runs.settle()
    assert value(metrics.registry, "saga_seconds_count", end="DONE") == 1


@pytest.fixture
def no_bookkeeping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the measures of the test are taken."""
    monkeypatch.setattr(database_gauges, "BOOKKEEPING", ())


@pytest.mark.usefixtures("no_bookkeeping")
async def test_a_measure_shows_the_latest_rows_and_no_value_when_it_fails() -> None:
    """A state that nobody is in any more vanishes; an error of the query ends nothing but its value."""
    registry = CollectorRegistry()
    wanted = Measure("orderflow_saga_runs", "Runs by state", "SELECT")
    rows = Rows([{"state": "A", "value": 3}, {"state": "B", "value": 4}], [{"state": "B", "value": 5}], OSError("x"))
    taken = DatabaseGauges([wanted], rows, registry, MeasureFaults(registry), lambda: 0.0)  # type: ignore[arg-type]  # as above
    assert value(registry, "saga_runs", state="A") is None
    for a, b in ((3, 4), (None, 5), (None, None)):
        await taken.take()
        assert (value(registry, "saga_runs", state="A"), value(registry, "saga_runs", state="B")) == (a, b)


@pytest.mark.usefixtures("no_bookkeeping")
@pytest.mark.parametrize(
    "rows",
    [
        [{"value": None}],
        [{"count": 3}],
        [{"value": "many"}],
        [{"?column?": "a", "value": 3}],
        [{"__name__": "a", "value": 3}],
        [{"state": "a", "value": 3}, {"state": "a", "value": 4}],
    ],
    ids=str,
)
async def test_a_measure_without_a_number_leaves_all_others_served(rows: list[dict[str, Any]]) -> None:
    """NULL, no column of that name, no number, no labels: it has no value, and the page is served with the others."""
    registry = CollectorRegistry()
    odd, sound = Measure("orderflow_odd", "", "SELECT 1"), Measure("orderflow_sound", "", "SELECT 2")
    asked, faults = Rows(rows, [{"value": 7}]), MeasureFaults(registry)
    await DatabaseGauges([odd, sound], asked, registry, faults, lambda: 0.0).take()  # type: ignore[arg-type]  # as above
    assert value(registry, "sound") == 7
    assert value(registry, "odd") is None


@pytest.mark.usefixtures("no_bookkeeping")
async def test_a_measure_that_goes_on_failing_is_told_of_once_a_cause(caplog: pytest.LogCaptureFixture) -> None:
    """Each failure is counted; the log has the first of each cause, and of one that comes back after it was mended."""
    registry, gone, odd = CollectorRegistry(), [OSError(f"table 7{n} is gone") for n in range(3)], [{"value": "many"}]
    rows = Rows(*gone, odd, odd, [{"value": 1}], gone[0])
    measure, faults = Measure("orderflow_odd", "", "SELECT 1"), MeasureFaults(registry)
    taken = DatabaseGauges([measure], rows, registry, faults, lambda: 0.0)  # type: ignore[arg-type]  # as above
    for _ in range(7):
        await taken.take()
    told = [record.getMessage() for record in caplog.records if "orderflow_odd" in record.getMessage()]
    assert ["gone" in one for one in told] == [True, False, True]
    assert value(registry, "measure_failures_total", measure="orderflow_odd") == 6


@pytest.mark.parametrize("name", ["", "9lives", "two words", "dash-ed", "orderflow_parked", "orderflow_leases", "é"])
def test_a_name_that_prometheus_refuses_is_refused_when_the_service_is_built(name: str) -> None:
    """One name would take the whole page: it is named, also one that there is already, be it the service's own."""
    registry = Metrics(lambda: NOW).registry
    with pytest.raises(MisconfiguredError, match=f"measure '{name}'"):
        check_measures([Measure(name, "", "SELECT 1")], registry)
    twice = [Measure("orderflow_own", "", "SELECT 1"), Measure("orderflow_own", "", "SELECT 2")]
    with pytest.raises(MisconfiguredError, match="already"):
        check_measures(twice, registry)
    with pytest.raises(MisconfiguredError, match="measure"):
        Harness(sample_service(Script(), measures=twice))


@pytest.mark.parametrize("rows", [OSError("no such table"), [{"id": 1}], [{"key": "a", "began": "yesterday"}]], ids=str)
async def test_a_query_of_beginnings_that_is_wrong_ends_no_process(rows: Any, caplog: pytest.LogCaptureFixture) -> None:
    """How long the runs took is not known; what is measured after the query is mended is."""
    metrics = Metrics(lambda: NOW, {"DONE"})
    runs = SagaDurations("began", (), Rows(rows, [{"key": "b", "began": NOW}]), metrics)  # type: ignore[arg-type]  # as above
    for key in "ab":
        metrics.publish([Done(thing=key)])
        await runs.settle()
    assert value(metrics.registry, "saga_seconds_count", end="DONE") == 1
    assert value(metrics.registry, "measure_failures_total", measure="orderflow_saga_seconds") == 1


@pytest.mark.usefixtures("no_bookkeeping")
async def test_a_slow_measure_is_asked_seldom() -> None:
    """A query that takes two seconds costs one hundredth of the time, however often housekeeping comes round."""
    clock = [1000.0]

    class Slow(Rows):
        async def read(self, query: str, *args: object) -> Sequence[Mapping[str, Any]]:
            clock[0] += 2
            return await super().read(query)

    slow = Slow(*[[{"value": 1}]] * 20)
    registry = CollectorRegistry()
    measures, faults = [Measure("orderflow_sum", "", "SELECT")], MeasureFaults(registry)
    taken = DatabaseGauges(measures, slow, registry, faults, lambda: clock[0])  # type: ignore[arg-type]  # as above
    for _ in range(100):
        await taken.take()
        clock[0] += 10
    assert 5 <= len(slow.asked) <= 6
