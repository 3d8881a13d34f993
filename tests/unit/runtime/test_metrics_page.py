"""docs/metrics.md against the code: the page lists every metric there is, with its type and labels, and no other."""

import random
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector

from orderflow_inventory.__main__ import build as inventory
from orderflow_model.service_config import ObjectiveConfig
from orderflow_order.measures import MEASURES
from orderflow_payment.handlers import payment_service
from orderflow_runtime.observability.database_gauges import BOOKKEEPING
from orderflow_runtime.observability.metrics import Metrics
from orderflow_runtime.observability.metrics_page import render
from orderflow_runtime.service import Measure
from orderflow_runtime.settings import Settings
from orderflow_shipping.__main__ import build as shipping
from support.runtime.sample_service import Outside, sample_config

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(orderflow_\w+)` \| (\w+) \|([\w, ]*)\|", re.MULTILINE)

Listed = dict[str, tuple[str, set[str]]]


def test_the_page_lists_what_there_is() -> None:
    """Names and types of all; labels of all that have a series from the start."""
    page = {
        name: (kind, set(filter(None, labels.strip().split(", "))))
        for name, kind, labels in ROW.findall(PAGE.read_text())
    }
    metrics = Metrics(lambda: datetime.now(UTC), (), [ObjectiveConfig(name="o", within_ms=1)])
    settings = Settings(sample_config(), {})
    measures = (
        *BOOKKEEPING,
        *MEASURES,
        *inventory(settings).measures,
        *shipping(settings).measures,
        *payment_service(Outside(), Outside()).measures,
    )
    code = dict(_families(metrics.registry)) | dict(_gauges(measures))
    assert {name: kind for name, (kind, _) in page.items()} == {name: kind for name, (kind, _) in code.items()}
    assert not {name for name, (_, labels) in code.items() if labels and labels != page[name][1]}


def _families(registry: CollectorRegistry) -> Iterator[tuple[str, tuple[str, set[str]]]]:
    for family in registry.collect():
        if family.name.startswith("orderflow_"):
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            yield family.name, (family.type, labels)


def _gauges(measures: Iterable[Measure]) -> Iterator[tuple[str, tuple[str, set[str]]]]:
    for measure in measures:
        yield measure.name, ("gauge", set())


def test_a_measure_that_is_called_as_if_it_were_the_processes_is_each_services_own() -> None:
    """Only what the library tells of a process stands once."""
    registries = {service: CollectorRegistry() for service in ("left", "right")}
    for number, registry in enumerate(registries.values()):
        ProcessCollector(registry=registry)
        Gauge("process_backlog", "An author's", registry=registry).set(number)
    page = render(registries, "")[0].decode()
    assert 'process_backlog{service="left"} 0.0' in page
    assert 'process_backlog{service="right"} 1.0' in page
    assert len(re.findall("^process_open_fds", page, re.MULTILINE)) == 1


@pytest.mark.parametrize("seed", range(5))
def test_whatever_a_client_says_that_it_takes_it_gets_the_page(seed: int) -> None:
    """What is no version of a format is answered in plain text."""
    chance, registry = random.Random(seed), CollectorRegistry()
    Gauge("a", "A gauge", registry=registry)
    words = ["application/openmetrics-text", "text/plain", "version=", "1.0.0", "abc", '"1"', "1.x", ";", ",", "q="]
    for accept in ("text/plain;version=abc", *("".join(chance.choices(words, k=6)) for _ in range(200))):
        body, media_type = render({"one": registry}, accept)
        assert b"a 0.0" in body
        assert media_type.startswith(("text/plain", "application/openmetrics-text"))
