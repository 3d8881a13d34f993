"""`orderflow orders load` as a user runs it: killed, repeated, refused, pointed at nothing."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orderflow_cli.local.state import FLOW_FILE
from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.postgres import Postgres
from support.flow.cli_process import OrderFlowProcess, orderflow
from support.flow.fleet import Fleet
from support.flow.orders import open_fleet

ORDERS = 2_000
EXAMPLE = Path(__file__).parents[3] / "examples" / "shopify"
MAPPING = """
order:
  idempotencyKey: "csv-{no}"
  customer: {id: "c{no}", name: "{name}", email: "{mail}"}
  currency: EUR
  payment: {token: tok_visa}
  shipTo: {name: "{name}", street: Main St 1, city: Ghent, postcode: "9000", country: BE}
  lines: [{sku: SKU-0001, quantity: {integer: pieces}, unitPrice: {integer: price, times: 100}}]
"""


@pytest.fixture(scope="module")
def fleet(kafka: Kafka, postgres: Postgres, scratch: Path) -> Iterator[Fleet]:
    """The order service alone."""
    with open_fleet(kafka.bootstrap, postgres.admin_url, scratch) as fleet:
        name = fleet.start("order")
        asyncio.run(fleet.until_ready(name))
        yield fleet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a mapping, where `orderflow run` seems to have started the flow."""
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    return tmp_path


def running_here(folder: Path, fleet: Fleet) -> None:
    """Leave the state that `orderflow run` leaves of a running flow."""
    state = folder / ".orderflow" / fleet.flow.metadata.name
    state.mkdir(parents=True)
    (state / "state.json").write_text(json.dumps({"ports": {"order": fleet.ports["order-0"]}}))
    (state / FLOW_FILE).write_text(fleet.flow.model_dump_json())


def write_orders(folder: Path, first: int, orders: int) -> Path:
    """Write a CSV file of good orders."""
    rows = [f'{no},"Ann, number {no}",a{no}@example.org,1,9.99' for no in range(first, first + orders)]
    file = folder / "orders.csv"
    file.write_text("no,name,mail,pieces,price\n" + "\n".join(rows) + "\n")
    return file


async def placed(fleet: Fleet) -> int:
    """How many orders there are."""
    return int((await fleet.fetch('SELECT count(*) AS n FROM "order".orders'))[0]["n"])


async def test_a_killed_load_goes_on_and_places_each_order_once(fleet: Fleet, folder: Path) -> None:
    """SIGKILL in the middle, then the same command: as many orders as rows; a third time, none."""
    running_here(folder, fleet)
    before = await placed(fleet)
    file = write_orders(folder, 1, ORDERS)
    load = ["orders", "load", file.name, "--mapping", "mapping.yaml", "--batch", "20"]
    process = OrderFlowProcess(*load, cwd=folder)
    wait_for_row(file.with_name("orders.csv.progress"), ORDERS // 10)
    process.kill()
    assert await placed(fleet) < before + ORDERS, "killed in the middle"
    again = orderflow(*load, cwd=folder)
    assert (again.returncode, "going on after line" in again.stdout) == (0, True), again.stdout
    assert await placed(fleet) == before + ORDERS
    third = orderflow(*load, cwd=folder)
    assert f"0 orders accepted, {ORDERS:,} known before, 0 refused" in third.stdout
    assert await placed(fleet) == before + ORDERS


async def test_a_shop_s_export_is_loaded_as_it_is(fleet: Fleet, folder: Path) -> None:
    """The example: articles with slashes and blanks, streets of two lines, a country without postcodes."""
    before = await placed(fleet)
    for file in EXAMPLE.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    load = ["orders", "load", "orders_export.csv", "--mapping", "mapping.yaml", "--url", fleet.url("order-0", "/")]
    done = orderflow(*load, cwd=folder)
    assert (done.returncode, "2 orders accepted, 0 known before, 0 refused" in done.stdout) == (0, True), done.stdout
    assert await placed(fleet) == before + 2


async def test_refused_rows_are_reported_with_line_and_reason(fleet: Fleet, folder: Path) -> None:
    """Exit code 1; the good rows are orders, the bad ones stand in the report, whoever refused them."""
    before = await placed(fleet)
    file = write_orders(folder, 100_001, 3)
    with file.open("a") as rows:
        rows.write("100004,Bob,no mail address,1,9.99\n100005,Bob,b@example.org,half,9.99\n100006,Bob\n")
        rows.write("100001,Eve,another@example.org,1,9.99\n")
    load = ["orders", "load", file.name, "--mapping", "mapping.yaml", "--url", fleet.url("order-0", "/")]
    done = orderflow(*load, "--report", "refused.ndjson", cwd=folder)
    assert (done.returncode, "3 orders accepted, 0 known before, 4 refused" in done.stdout) == (1, True), done.stdout
    told = [json.loads(line) for line in (folder / "refused.ndjson").read_text().splitlines()]
    assert [line["line"] for line in told] == [5, 6, 7, 8]
    assert told[0]["errors"][0]["place"] == "/customer/email"
    assert "pieces" in told[1]["reason"]
    assert "2 cells" in told[2]["reason"]
    assert "idempotency key" in told[3]["reason"]
    assert await placed(fleet) == before + 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["orders.csv"], "--mapping"),
        (["orders.csv", "--mapping", "none.yaml"], "none.yaml"),
        (["orders.csv", "--mapping", "mapping.yaml"], "Start it with orderflow run"),
        (["orders.csv", "--mapping", "mapping.yaml", "--url", "{provider}"], "Is --url the order service's address?"),
        (["orders.csv", "--mapping", "mapping.yaml", "--url", "nowhere"], "no address"),
        (["orders.csv", "--mapping", "mapping.yaml", "--url", "http://x", "--report", "orders.csv"], "a name each"),
        (["orders.csv", "--mapping", "mapping.yaml", "--url", "http://x", "--report", "no/where"], "cannot be written"),
        (["missing.csv"], "missing.csv"),
    ],
)
def test_what_cannot_go_on_says_why(fleet: Fleet, folder: Path, arguments: list[str], said: str) -> None:
    """Exit code 2 and one line that says what to do."""
    content = write_orders(folder, 1, 3).read_text()
    given = [part.replace("{provider}", fleet.url("provider", "")) for part in arguments]
    done = orderflow("orders", "load", *given, cwd=folder)
    assert (done.returncode, said in done.stdout, "Traceback" in done.stdout) == (2, True, False), done.stdout
    assert (folder / "orders.csv").read_text() == content


def wait_for_row(progress: Path, row: int) -> None:
    """Block until a load has settled so many rows."""
    deadline = time.monotonic() + 60
    while not progress.exists() or json.loads(progress.read_text())["row"] < row:
        said = "".join(file.read_text() for file in progress.parent.glob("output-*"))
        assert time.monotonic() < deadline, f"no progress: {said}"
        time.sleep(0.01)
