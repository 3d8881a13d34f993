"""Figures of the flow: read once however many look, and told as cells that say what hurts."""

import asyncio

import pytest

from orderflow_console.metrics.rates import Arrow
from orderflow_console.queries.lag import Lag, Trend
from orderflow_console.web.flow_cells import cells
from orderflow_console.web.flow_watch import FlowFigures, FlowWatch, Health, ServiceFigures
from orderflow_model.loading.load import load_flow
from support.flow.cli_process import FLOW


async def test_many_who_look_are_one_reading() -> None:
    """A hundred pages that look within a second ask the services once; the next second they ask again."""
    read, now = 0, 0.0

    async def reading() -> FlowFigures:
        nonlocal read
        read += 1
        await asyncio.sleep(0)
        return FlowFigures({}, {}, {})

    watch = FlowWatch(reading, lambda: now)
    await asyncio.gather(*(watch.now() for _ in range(100)))
    assert read == 1
    now = 1.5
    await asyncio.gather(*(watch.now() for _ in range(100)))
    assert read == 2


@pytest.mark.parametrize(
    ("answers", "parked", "dead", "health"),
    [(True, 0, 0, Health.GOOD), (True, 3, 0, Health.WAITING), (True, 3, 1, Health.DEAD), (False, 0, 0, Health.SILENT)],
)
def test_a_service_is_as_well_as_its_worst_trouble(answers: bool, parked: int, dead: int, health: Health) -> None:
    """Each health has a shape of its own, and says in words what it is made of."""
    service = ServiceFigures("payment", answers, parked, dead)
    found = cells(load_flow(FLOW), FlowFigures({}, {"payment": service}, {}))
    assert found["health:payment"].kind == health
    shapes = {"good": "●", "waiting": "▲", "dead": "◆", "silent": "✖"}
    assert found["health:payment"].text == shapes[health]
    assert found["parked:payment"].text == (str(parked) if answers else "?")


def test_a_lag_is_told_in_time_with_its_trend() -> None:
    """An arrow says how late its service is, and marks what is late enough to look at."""
    arrow = Arrow("order", "ORDER_CREATED", "inventory", 1_200, 12.4)
    lag = Lag("inventory", "shop.order-created", 312.0, Trend.RISING, 9, 2, 12)
    figures = FlowFigures(
        {("ORDER_CREATED", "inventory"): arrow}, {}, {("inventory", "shop.order-created"): lag}, "Kafka is away"
    )
    found = cells(load_flow(FLOW), figures)
    name = "ORDER_CREATED:inventory"
    assert found[f"rate:{name}"].text == "12/s"
    assert found[f"lag:{name}"] == ("5 min ↗ rising", "late")
    assert found[f"late:{name}"].text == "■ 5 min"
    assert found["problem"].text == "Kafka is away"
