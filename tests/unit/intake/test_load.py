"""Loading against an order service that is away, stops and refuses: every row is settled once, whatever happens."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from orderflow_cli.bulk_load.loader import Pace, load
from orderflow_cli.bulk_load.progress import Progress, open_journal
from orderflow_cli.bulk_load.rows import LoadError, Row
from orderflow_cli.bulk_load.sources import open_source
from orderflow_cli.order_client import OrderClient
from orderflow_cli.servers.ports import free_port
from support.flow.order_service import REFUSED, StandIn


@pytest.fixture
async def desk() -> StandIn:
    """The stand-in for the order service."""
    return StandIn()


@pytest.fixture
async def url(desk: StandIn) -> AsyncIterator[str]:
    """Its address."""
    async with desk.serving() as address:
        yield address


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Fifty orders; of each ten, the fourth has no key and the eighth is no JSON."""
    lines = [json.dumps({} if n % 10 == 4 else {"idempotencyKey": f"k{n}"}) for n in range(1, 51)]
    lines[7::10] = ["{"] * 5
    path = tmp_path / "orders.ndjson"
    path.write_text("\n".join(lines) + "\n")
    return path


async def run(
    file: Path, url: str, patience: float = 10, show: Callable[[Progress], None] = lambda _: None
) -> Progress:
    """Load the file as the command does."""
    journal = open_journal(file.with_suffix(".progress"), report_of(file), "same")
    async with aiohttp.ClientSession() as session:
        client = OrderClient(session, url, patience)
        return await load(open_source(file, None), None, client, journal, Pace(4, 2), show)


def report_of(file: Path) -> Path:
    """Where refused rows stand."""
    return file.with_suffix(".refused")


def refused(file: Path) -> list[int]:
    """The lines that the report names."""
    return [json.loads(line)["line"] for line in report_of(file).read_text().splitlines()]


async def test_each_row_is_accepted_or_in_the_report(desk: StandIn, url: str, file: Path) -> None:
    """The report names line, key and reason of what was refused, here or by the service."""
    done = await run(file, url)
    assert (done.accepted, done.known, done.refused) == (40, 0, 10)
    assert refused(file) == sorted([*range(4, 51, 10), *range(8, 51, 10)])
    told = [json.loads(line) for line in report_of(file).read_text().splitlines()]
    assert told[0]["errors"] == REFUSED["errors"]
    assert told[1]["reason"].startswith("not JSON")
    assert not file.with_suffix(".progress").exists()


async def test_a_second_load_places_nothing(desk: StandIn, url: str, file: Path) -> None:
    """All orders are known, the refused are refused again, and the report is of this load."""
    await run(file, url)
    again = await run(file, url)
    assert (again.accepted, again.known, again.refused) == (0, 40, 10)
    assert len(refused(file)) == 10


@pytest.mark.parametrize("batches", range(1, 12))
async def test_a_stopped_load_goes_on_where_it_was(desk: StandIn, url: str, file: Path, batches: int) -> None:
    """Stopped after any batch, the counts and the report end as if it had never stopped."""
    settled = 0

    def stop(progress: Progress) -> None:
        nonlocal settled
        settled += 1
        if settled == batches:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await run(file, url, show=stop)
    with report_of(file).open("a") as report:
        report.write('{"line": 49, "torn')  # written, but a crash came before the progress was
    done = await run(file, url)
    assert done.accepted + done.known == 40
    assert refused(file) == sorted([*range(4, 51, 10), *range(8, 51, 10)])
    assert len(desk.known) == 40
    assert max(desk.known.values()) <= 2, "only what was under way is sent again"


async def test_progress_of_another_file_is_not_taken(url: str, file: Path, tmp_path: Path) -> None:
    """A changed file is loaded from its beginning, which is safe."""
    state = tmp_path / "state"
    state.write_text(Progress(fingerprint="other", row=40).model_dump_json())
    assert open_journal(state, report_of(file), "same").progress.row == 0
    state.write_text("notes of mine")
    with pytest.raises(LoadError, match="no progress of a load"):
        open_journal(state, report_of(file), "same")


async def test_a_busy_service_is_asked_again(desk: StandIn, url: str, file: Path) -> None:
    """503 and 429 lose nothing and place nothing twice."""
    desk.answers = [
        lambda: web.Response(status=503),
        lambda: web.Response(status=429),
        lambda: web.Response(status=503),
    ]
    done = await run(file, url)
    assert (done.accepted, done.refused) == (40, 10)
    assert set(desk.known.values()) == {1}


async def test_a_service_that_is_away_is_waited_for(desk: StandIn, file: Path) -> None:
    """A refused connection is tried again until the service is there."""
    port = free_port()
    loading = asyncio.create_task(run(file, f"http://127.0.0.1:{port}", patience=30))
    await asyncio.sleep(0.3)
    async with desk.serving(port):
        assert (await loading).accepted == 40


async def test_a_service_that_stays_away_ends_the_load_with_its_progress(file: Path) -> None:
    """After its patience the load stops with a reason; nothing is counted that was not answered."""
    with pytest.raises(LoadError, match="took no orders for 0 s"):
        await run(file, f"http://127.0.0.1:{free_port()}", patience=0.1)
    assert json.loads(file.with_suffix(".progress").read_text())["row"] == 0


FOREIGN = [
    [3],
    {"results": 5},
    {"results": "four"},
    {"results": {"a": 1, "b": 2, "c": 3, "d": 4}},
    *(
        {"results": [result] * 4}
        for result in (
            {},
            3,
            None,
            {"status": "201"},
            {"status": True},
            {"status": 5},
            {"status": 302},
            {"status": 422, "problem": "no"},
            {"status": 422, "problem": {"errors": 7}},
        )
    ),
]


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=404),
        web.json_response({"results": []}),
        web.Response(text="hi"),
        *map(web.json_response, FOREIGN),
    ],
)
async def test_an_address_that_is_no_order_service_ends_the_load(
    desk: StandIn, url: str, file: Path, answer: web.Response
) -> None:
    """An answer that makes no sense is not asked for again."""
    desk.answers = [lambda: answer]
    with pytest.raises(LoadError, match=r"answers .*order service's address"):
        await run(file, url)
    assert json.loads(file.with_suffix(".progress").read_text())["row"] == 0


@pytest.mark.parametrize(
    "address",
    [
        "nowhere",
        "",
        "ftp://x",
        "http://",
        "http://..x",
        "http://x..y",
        "http://a b",
        "http://x:99999",
        f"http://{'x' * 64}",
    ],
)
async def test_what_is_no_address_ends_the_load_at_once(file: Path, address: str) -> None:
    """No time makes an address of it."""
    async with asyncio.timeout(5):
        with pytest.raises(LoadError, match=r"is no address.*order service's address"):
            await run(file, address, patience=60)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost.", "order_api.invalid", "bücher.invalid", "[::1]", "127.0.0.1"]
)
async def test_an_address_where_nobody_is_is_waited_for(file: Path, host: str) -> None:
    """Whatever may be looked up may be there later."""
    with pytest.raises(LoadError, match="took no orders"):
        await run(file, f"http://{host}:{free_port()}", patience=0.1)


async def test_no_more_is_read_than_is_under_way(desk: StandIn, url: str, tmp_path: Path) -> None:
    """However large the file, only the batches under way and the next one are held."""
    taken = 0

    class Endless:
        unit, size, columns = "row", 1_000, None

        def rows(self, after: int) -> Iterator[Row]:
            nonlocal taken
            for taken in range(after + 1, self.size + 1):
                yield Row(taken, taken, taken, {"idempotencyKey": f"k{taken}"})

    def bounded(progress: Progress) -> None:
        assert taken - progress.row <= 3 * 10

    journal = open_journal(tmp_path / "state", tmp_path / "report", "same")
    async with aiohttp.ClientSession() as session:
        done = await load(Endless(), None, OrderClient(session, url), journal, Pace(10, 3), bounded)
    assert done.accepted == 1_000
