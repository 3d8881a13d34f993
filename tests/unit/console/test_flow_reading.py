"""What the picture of the flow reads while something of the flow does not answer."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from orderflow_console.queries.errors import ReadError
from orderflow_console.queries.lag import Lag, Trend
from orderflow_console.settings import ConsoleConfig
from orderflow_console.web import flow_reading
from orderflow_console.web.flow_reading import FlowReader
from orderflow_model.loading.load import load_flow
from support.flow.cli_process import FLOW

LAG = Lag("payment", "shop.stock-reserved", 2.0, Trend.STEADY, 3, 1, 12)


async def test_a_kafka_that_does_not_answer_holds_nothing_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The rest is shown at once, with what is not known; Kafka's fault is told, and forgotten once it answers."""
    answers: asyncio.Queue[Lag | ReadError] = asyncio.Queue()

    class Lags:
        def __init__(self, *_: object) -> None:
            """Take what is given."""

        async def read(self) -> tuple[Lag, ...]:
            if isinstance(answer := await answers.get(), ReadError):
                raise answer
            return (answer,)

    async def dead(_: object) -> dict[str, int]:
        return {"payment": 100_000}

    monkeypatch.setattr(flow_reading, "LagReader", Lags)
    monkeypatch.setattr(flow_reading, "count_by_service", dead)
    monkeypatch.setattr(flow_reading, "_LAG_SECONDS", 0.0)
    monkeypatch.setattr(flow_reading, "_PATIENCE_SECONDS", 0.01)
    config = ConsoleConfig(flow=load_flow(FLOW), urls={"payment": "http://127.0.0.1:1"}, state=tmp_path, command=())
    nothing: object = None
    async with aiohttp.ClientSession() as http, asyncio.timeout(5):
        reader = FlowReader(config, nothing, {}, http)  # type: ignore[arg-type]  # nobody asks it
        first = await reader.read()
        assert (first.services["payment"].dead, first.lags) == (100_000, {})
        assert "not told yet" in (first.problem or "")
        answers.put_nowait(ReadError("no broker", "Wait"))
        assert (await reader.read()).problem == "no broker. Wait"
        answers.put_nowait(LAG)
        well = await reader.read()
    assert (well.problem, list(well.lags.values())) == (None, [LAG])
