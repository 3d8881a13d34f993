"""docs/metrics.md against the code: the page lists every metric there is, with its type and labels, and no other."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry

from orderflow_inventory.__main__ import build as inventory
from orderflow_model.service_config import ObjectiveConfig
from orderflow_order.measures import MEASURES
from orderflow_payment.handlers import payment_service
from orderflow_runtime.observability.database_gauges import BOOKKEEPING
from orderflow_runtime.observability.metrics import Metrics
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
