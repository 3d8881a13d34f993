"""Orders that TPC-H's generator made, loaded in bulk into the running flow."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.postgres import Postgres
from support.flow.cli_process import orderflow
from support.flow.fleet import Fleet
from support.flow.oracles import judge, until_at_rest
from support.flow.orders import open_fleet, start_all
from support.records.duplicates import Duplicator
from support.tools.portion import Portion

EXAMPLE = Path(__file__).parents[3] / "examples" / "tpch"
GENERATOR = Path(sys.executable).with_name("tpchgen-cli")
ORDERS = 20_000
SHARES = {"--declined": "0.05", "--unknown": "0.01", "--unserved": "0.01"}
FAILING = {"tok_declined", "XX"}


@pytest.fixture
def fleet(kafka: Kafka, postgres: Postgres, scratch: Path) -> Iterator[Fleet]:
    """The reference flow, running."""
    with open_fleet(kafka.bootstrap, postgres.admin_url, scratch) as fleet:
        start_all(fleet)
        yield fleet


@pytest.fixture
def lines(tmp_path: Path, chaos: Portion) -> Path:
    """Order lines as the example makes them, from tables of scale factor 0.014; of them those of this run's orders."""
    tables, file = tmp_path / "tables", tmp_path / "lines.parquet"
    options = ["--tables", "orders,lineitem,customer", "--output-dir", str(tables), "--quiet"]
    subprocess.run([GENERATOR, "parquet", "--scale-factor", "0.014", *options], check=True)
    shares = [part for share in SHARES.items() for part in share]
    prepare = [sys.executable, EXAMPLE / "prepare.py", tables, file, "--orders", str(ORDERS), *shares]
    subprocess.run(prepare, check=True)
    table = pq.read_table(file)
    keys = pa.array(chaos.turns(table["order_key"].unique().to_pylist()))
    pq.write_table(table.filter(pc.is_in(table["order_key"], keys)), file, row_group_size=20_000)
    return file


async def test_twenty_thousand_orders_end_right(fleet: Fleet, lines: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With declines, refused shipments, unknown outcomes and repeated events, each order ends as its data says."""
    expected = fates(lines)
    orders = sum(expected.values())
    with Duplicator(fleet, share=0.05) as duplicator:
        begun = time.monotonic()
        loaded = orderflow(*command(fleet, lines), cwd=lines.parent)
        placed = time.monotonic()
        assert (loaded.returncode, f"{orders:,} orders accepted, 0 known before, 0 refused" in loaded.stdout) == (
            0,
            True,
        )
        await until_at_rest(fleet, orders, seconds=240)
        ended = time.monotonic()
    await until_at_rest(fleet, orders)
    verdict = await judge(fleet)
    states = await fleet.fetch('SELECT state, count(*) AS n FROM "order".orders GROUP BY 1')
    assert {row["state"]: row["n"] for row in states} == expected
    assert duplicator.repeated > 0.04 * duplicator.read > 0.04 * 5 * orders
    with capsys.disabled():
        print(
            f"\nTPC-H: {orders:,} orders placed in {placed - begun:.1f} s, at rest after {ended - begun:.1f} s:"
            f" {orders / (ended - begun):,.0f} orders/s; {duplicator.repeated:,} of {duplicator.read:,} records"
            f" repeated; {verdict}"
        )


def command(fleet: Fleet, file: Path) -> list[str]:
    """The command line that loads the file."""
    return ["orders", "load", str(file), "--mapping", str(EXAMPLE / "mapping.yaml"), "--url", fleet.url("order-0", "")]


def fates(lines: Path) -> dict[str, int]:
    """How many orders must end in each state, by their data."""
    table = pq.read_table(lines, columns=["order_key", "token", "country"])
    fails = {row["order_key"]: FAILING & {row["token"], row["country"]} != set() for row in table.to_pylist()}
    return {"CANCELLED" if failing else "COMPLETED": count for failing, count in Counter(fails.values()).items()}
