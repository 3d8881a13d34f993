"""The picture of a flow: all of it is drawn, and nothing moves but by an edit of the resource."""

import pytest

from orderflow_console.web.flow_picture import draw
from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import load_flow
from support.flow.cli_process import FLOW


@pytest.fixture(scope="module")
def flow() -> OrderFlow:
    """The reference flow, which is full of cycles."""
    return load_flow(FLOW)


def test_every_subscription_has_one_arrow_into_its_lane(flow: OrderFlow) -> None:
    """Lanes are the services, rows the events, and arrows who subscribes what: each once."""
    picture = draw(flow)
    lanes = {lane.service: lane.x for lane in picture.lanes}
    assert sorted(lanes) == sorted(service.name for service in flow.services)
    assert sorted(row.event for row in picture.rows) == sorted(event.name for event in flow.spec.events)
    drawn = sorted((row.event, arrow.service) for row in picture.rows for arrow in row.arrows)
    assert drawn == sorted((event, service.name) for service in flow.services for event in service.subscribes)
    assert all(arrow.x == lanes[arrow.service] for row in picture.rows for arrow in row.arrows)


def test_lines_reach_all_that_they_join_and_nothing_overlaps(flow: OrderFlow) -> None:
    """A line goes from the outermost lane that it touches to the other; no two lanes or rows share a place."""
    picture = draw(flow)
    for row in picture.rows:
        touched = [*row.published, *(arrow.x for arrow in row.arrows)]
        assert (row.left, row.right) == (min(touched), max(touched))
    assert len({lane.x for lane in picture.lanes}) == len(picture.lanes)
    assert len({row.y for row in picture.rows}) == len(picture.rows)
    assert max(lane.x for lane in picture.lanes) < picture.width
    assert max(row.y for row in picture.rows) < picture.height


def test_a_run_reads_from_top_to_bottom(flow: OrderFlow) -> None:
    """The event that begins a run is the first row, and its publisher the first lane."""
    picture = draw(flow)
    assert picture.rows[0].event == "ORDER_CREATED"
    assert picture.lanes[0].service == "order"


def test_a_flow_without_a_saga_is_drawn_too(flow: OrderFlow) -> None:
    """What nobody begins, publishes or hears has its place all the same."""
    spec = flow.spec.model_copy(update={"saga": None, "services": flow.spec.services[:1]})
    picture = draw(flow.model_copy(update={"spec": spec}))
    assert len(picture.rows) == len(flow.spec.events)
    assert [lane.service for lane in picture.lanes] == ["order"]
