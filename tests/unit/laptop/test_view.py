"""The live view's figures: what flows on each arrow, through restarts and silent services."""

import asyncio
import io

import pytest
from rich.console import Console

from orderflow_cli.local import live_view
from orderflow_cli.local.live_view import Snapshot, show
from orderflow_console.metrics.rates import Arrow, Rates
from orderflow_console.metrics.scrape import Counts
from orderflow_model.loading.load import load_flow
from support.flow.cli_process import FLOW


@pytest.fixture
def rates() -> Rates:
    """The rates of the reference flow, first read at second 0 with 100 payments asked for."""
    rates = Rates(load_flow(FLOW))
    rates.arrows({"payment": Counts(processed={"STOCK_RESERVED": 100})}, now=0)
    return rates


def _reserved(arrows: list[Arrow]) -> Arrow:
    return next(arrow for arrow in arrows if (arrow.event, arrow.subscriber) == ("STOCK_RESERVED", "payment"))


def test_a_rate_is_growth_over_time(rates: Rates) -> None:
    """Fifty more in two seconds are 25 a second, on the arrow from inventory to payment."""
    arrow = _reserved(rates.arrows({"payment": Counts(processed={"STOCK_RESERVED": 150})}, now=2))
    assert arrow == Arrow("inventory", "STOCK_RESERVED", "payment", total=150, rate=25)


def test_a_restarted_service_counts_from_zero(rates: Rates) -> None:
    """A counter that fell is a new process: what it shows has all happened since."""
    assert _reserved(rates.arrows({"payment": Counts(processed={"STOCK_RESERVED": 30})}, now=2)).rate == 15


def test_a_silent_service_flows_at_zero(rates: Rates) -> None:
    """A service that does not answer keeps its total and shows no rate."""
    assert _reserved(rates.arrows({}, now=2)) == Arrow("inventory", "STOCK_RESERVED", "payment", 100, 0)


@pytest.mark.parametrize("terminal", [False, True])
async def test_both_views_name_states_and_troubles(terminal: bool) -> None:
    """A pipe gets plain lines, a terminal a board; both say how orders stand and what went wrong."""
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=100, height=40)
    arrow = Arrow("order", "ORDER_CREATED", "inventory", total=7, rate=3)

    async def take() -> Snapshot:
        return Snapshot([arrow], posted=7, states={"PAID": 7}, parked=2, dead=1, restarts={"order": 1, "payment": 0})

    showing = asyncio.create_task(show(console, take))
    await asyncio.sleep(0.2)
    showing.cancel()
    await asyncio.wait([showing])
    assert "orders sent 7: PAID 7" in output.getvalue()
    assert "parked 2, dead letters 1, restarts order 1" in output.getvalue()
    assert ("ORDER_CREATED" in output.getvalue()) == terminal
    assert ("\x1b" in output.getvalue()) == terminal


async def test_a_flow_at_rest_is_looked_at_less_often_and_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not move is one line; the looks, each a request to all services, come further and further apart."""
    monkeypatch.setattr(live_view, "_PLAIN_SECONDS", 0.02)
    output, looks = io.StringIO(), 0

    async def take() -> Snapshot:
        nonlocal looks
        looks += 1
        return Snapshot([], posted=7, states={}, parked=0, dead=0, restarts={})

    showing = asyncio.create_task(show(Console(file=output), take))
    await asyncio.sleep(0.5)
    showing.cancel()
    await asyncio.wait([showing])
    assert output.getvalue().count("orders sent 7") == 1
    assert 2 < looks < 10, "without a pause it would be 25"


@pytest.mark.parametrize("terminal", [False, True])
async def test_figures_that_nobody_gives_are_unknown(terminal: bool) -> None:
    """A service without readable metrics is named, and its arrows show no numbers."""
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=100, height=40)

    async def take() -> Snapshot:
        return Snapshot([Arrow("order", "PAID", "mailer", 0, 0)], 7, {}, 2, 1, {}, unknown=["mailer"])

    showing = asyncio.create_task(show(console, take))
    await asyncio.sleep(0.2)
    showing.cancel()
    await asyncio.wait([showing])
    assert "figures unknown: mailer" in output.getvalue()
    assert (" ?" in output.getvalue()) == terminal
