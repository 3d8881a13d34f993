"""The picture of a flow."""

from typing import Any

from orderflow_model.flow import OrderFlow
from orderflow_model.graph import mermaid
from orderflow_model.loading.load import parse_flow


def test_every_arrow_of_the_matrix_is_drawn_once(shop: OrderFlow) -> None:
    """The picture has one arrow per subscription and publication, and one per compensation."""
    lines = mermaid(shop).splitlines()
    services = shop.spec.services
    arrows = [line for line in lines if " --> " in line]
    assert len(arrows) == len(set(arrows)) == sum(len(s.subscribes) + len(s.publishes) for s in services)
    assert "  event_STOCK_RESERVED --> service_payment" in arrows
    assert sum("undone by" in line for line in lines) == 2


def test_a_flow_without_saga_is_drawn_too(edited: Any) -> None:
    """Without a saga the picture has neither beginning nor end, and names Mermaid keeps are harmless."""
    picture = mermaid(parse_flow(edited({"spec.saga": None, "spec.services[0].name": "end"})))
    assert "class" not in picture
    assert "service_end[end]" in picture
