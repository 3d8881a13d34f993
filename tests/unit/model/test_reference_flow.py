"""The reference flow's files: each holds the picture it was drawn from, whole, whatever has been added to it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from orderflow_model.loading.load import load_flow

FLOWS = sorted((Path(__file__).parents[3] / "manifests" / "flows").glob("*.yaml"))
DRAWN = {
    "ORDER_CREATED": ("order", {"inventory", "notification"}),
    "STOCK_RESERVED": ("inventory", {"payment", "notification", "order"}),
    "PAYMENT_PROCESSED": ("payment", {"inventory", "notification", "order"}),
    "PAYMENT_FAILED": ("payment", {"inventory", "order", "notification"}),
    "INVENTORY_UPDATED": ("inventory", {"shipping", "notification"}),
    "SHIPMENT_CREATED": ("shipping", {"order", "notification"}),
}
"""Event → who publishes it, who hears of it."""


@pytest.mark.parametrize("file", FLOWS, ids=lambda file: file.name)
def test_every_flow_holds_the_drawn_matrix(file: Path) -> None:
    """Each drawn event has its one publisher, and each of its subscribers."""
    services = load_flow(file).spec.services
    for event, (publisher, subscribers) in DRAWN.items():
        assert [service.name for service in services if event in service.publishes] == [publisher], event
        assert subscribers <= {service.name for service in services if event in service.subscribes}, event


def test_all_flows_are_the_same_picture() -> None:
    """The files differ in their Kafka and namespace, not in what is said and heard."""

    def picture(file: Path) -> Any:
        spec = yaml.safe_load(file.read_text())["spec"]
        return {part: spec[part] for part in ("events", "services", "saga")}

    assert len(FLOWS) > 1
    assert all(picture(file) == picture(FLOWS[0]) for file in FLOWS)
