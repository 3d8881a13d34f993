"""Whatever a file holds, each of its rows is placed or named: accepted, known and refused are all there are.

10,000 files of single rows are generated and 2,000 of orders of several rows, of which `make test` reads a tenth; a
file is known by its seed.
"""

import asyncio
import csv
import gzip
import io
import json
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby, pairwise
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orderflow_cli.bulk_load.loader import Pace, load
from orderflow_cli.bulk_load.mapping import OrderMapping, read_mapping
from orderflow_cli.bulk_load.progress import Progress, open_journal
from orderflow_cli.bulk_load.sources import open_source
from support.tools.portion import Portion

FILES = 10_000
GROUPED_FILES = 2_000
TEXTS = (
    "plain",
    "two words",
    "a,b;c",
    'say "hi"',
    "línea é ß",
    "tab\there",
    "line one\nline two",
    '12" pipe',
    "x" * 300,
    "Main St 1, left\n9000 Ghent, Belgium",
    'a;b|c\td, e\n\n"f"; g, h',
)


class Desk:
    """An order service that takes everything once, and says so."""

    def __init__(self) -> None:
        self.placed: dict[str, dict[str, Any]] = {}

    async def place(self, orders: list[bytes]) -> list[dict[str, Any]]:
        """Answer as POST /orders/batch does."""
        await asyncio.sleep(0)
        return [self._one(json.loads(order)) for order in orders]

    def _one(self, order: dict[str, Any]) -> dict[str, Any]:
        status = 200 if order["idempotencyKey"] in self.placed else 201
        assert self.placed.setdefault(order["idempotencyKey"], order) == order
        return {"status": status}


@dataclass
class File:
    """A generated file: what of it has to be placed, and the numbers of the rows that have to be refused."""

    path: Path
    placed: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)
    rows: int = 0


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written."""

    delimiter: str
    decimal: str
    thousands: str
    encoding: str
    newline: str
    quoting: int
    packed: bool

    @classmethod
    def any(cls, random: Random) -> "Dialect":
        """Draw one."""
        decimal = random.choice(".,")
        return cls(
            random.choice(",;\t|"),
            decimal,
            random.choice(("", ".,"[decimal == "."], " ", "'")),
            random.choice(("utf-8", "utf-8-sig", "utf-16", "cp1252")),
            random.choice(("\n", "\r\n")),
            random.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)),
            random.random() < 0.2,
        )

    def price(self, cents: int) -> str:
        """Write an amount."""
        whole = f"{cents // 100:,}".replace(",", self.thousands) if self.thousands else str(cents // 100)
        return f"{whole}{self.decimal}{cents % 100:02d}"

    def line(self, cells: list[str]) -> str:
        """Write a row."""
        out = io.StringIO()
        csv.writer(out, delimiter=self.delimiter, quoting=self.quoting, lineterminator=self.newline).writerow(cells)  # type: ignore[arg-type]  # one of the module's constants
        return out.getvalue()

    def mapping(self, folder: Path) -> OrderMapping:
        """Write and read the mapping that says what the file cannot say itself."""
        told: dict[str, Any] = {
            "order": {
                "idempotencyKey": "k-{no}",
                "note": {"optional": "{note: free}"},
                "lines": [{"sku": "{sku}", "unitPrice": {"integer": "price", "times": 100}}],
            },
            "numbers": {"decimal": self.decimal, "thousands": self.thousands},
        }
        if self.encoding == "cp1252":
            told["csv"] = {"encoding": "cp1252"}
        (folder / "mapping.yaml").write_text(json.dumps(told))
        return read_mapping(folder / "mapping.yaml")


FAULTS = ("quote", "few", "many", "price", "empty")


def broken(random: Random, cells: list[str], dialect: Dialect) -> str:
    """Write a row that is none: a quote that nobody closes, cells too few or too many, a number that is none."""
    fault = random.choice(FAULTS)
    match fault:
        case "quote":
            # the quote opens a cell, and no other stands on its line
            return dialect.delimiter.join([cells[0], '"stray', "1", "x", ""]) + dialect.newline
        case "few":
            return dialect.line(cells[:2])
        case "many":
            return dialect.line([*cells, "more"])
        case "price":
            return dialect.line([*cells[:2], random.choice(("12_50", "１２", "1e3", "--1", "1 2", "abc")), *cells[3:]])
        case _:
            return dialect.line(["", *cells[1:]])


def csv_file(random: Random, folder: Path) -> tuple[File, OrderMapping]:
    """Write a CSV file and tell what has to come of it."""
    dialect = Dialect.any(random)
    file = File(folder / ("orders.csv.gz" if dialect.packed else "orders.csv"))
    mapping = dialect.mapping(folder)
    text = dialect.line(["no", "sku", "price", "note: free", "unused", "unused"])
    for number in range(random.randrange(1, 30)):
        if random.random() < 0.1:
            text += random.choice((dialect.newline, dialect.line([""] * 6)))
        first = text.count("\n") + 1
        note, cents = random.choice(("", *TEXTS)), random.randrange(10**9)
        cells = [str(number), f"s{number}", dialect.price(cents), note, "", ""]
        file.rows += 1
        if random.random() < 0.2:
            text += broken(random, cells, dialect)
            file.refused.add(first)
            continue
        text += dialect.line(cells)
        order: dict[str, Any] = {"idempotencyKey": f"k-{number}"} | ({"note": note} if note else {})
        file.placed[f"k-{number}"] = order | {"lines": [{"sku": f"s{number}", "unitPrice": cents}]}
    content = text.encode(dialect.encoding, "replace")  # full-width digits become ??
    file.path.write_bytes(gzip.compress(content) if dialect.packed else content)
    return file, mapping


PRICES = (pa.float32(), pa.float64(), pa.decimal128(12, 2), pa.string(), pa.large_string())
KEYS = (pa.int32(), pa.string(), pa.binary(), pa.dictionary(pa.int32(), pa.string()))
TIMES = (
    *(pa.timestamp(unit) for unit in ("ns", "us", "s")),
    pa.timestamp("s", tz="UTC"),
    pa.date32(),
    pa.time64("ns"),
    pa.duration("ns"),
)


def column(values: list[Any], type_: pa.DataType) -> pa.Array:
    """Make a column of any type out of Python's values."""
    if pa.types.is_dictionary(type_):
        return pa.array(values, type_.value_type).dictionary_encode()
    return pa.array(values, type_)


def parquet_file(random: Random, folder: Path) -> tuple[File, OrderMapping]:
    """Write a Parquet file of any types and tell what has to come of it."""
    file = File(folder / "orders.parquet")
    (folder / "mapping.yaml").write_text(
        json.dumps(
            {
                "order": {
                    "idempotencyKey": "k-{no}",
                    "at": {"optional": "{at}"},
                    "lines": [{"sku": "{sku}", "unitPrice": {"integer": "price", "times": 100}}],
                }
            }
        )
    )
    price, key = random.choice(PRICES), random.choice(KEYS)
    most = 9_999 if price == pa.float32() else 10**8
    file.rows = random.randrange(0, 30)
    cents = [random.randrange(most) for _ in range(file.rows)]
    prices: list[Any] = [_price(value, price) for value in cents]
    keys = [number if key == pa.int32() else str(number) for number in range(file.rows)]
    raw = [str(number).encode() if key == pa.binary() else value for number, value in enumerate(keys)]
    for number in range(file.rows):
        if random.random() < 0.2:
            file.refused.add(number + 1)
            prices[number] = None
        elif key == pa.binary() and random.random() < 0.2:
            file.refused.add(number + 1)
            raw[number] = b"\xff\xfe"
        else:
            file.placed[f"k-{number}"] = {"lines": [{"sku": f"s{number}", "unitPrice": cents[number]}]}
    time = random.choice(TIMES)
    latest = 10**7 if time == pa.date32() else 2**31  # days after that no calendar has
    moments = pa.array([random.choice((None, random.randrange(latest))) for _ in raw], pa.int64())
    at = moments.cast(pa.int32()).cast(time) if time == pa.date32() else moments.cast(time)
    skus = [f"s{number}" for number in range(file.rows)]
    columns = {"no": column(raw, key), "sku": column(skus, pa.string()), "price": column(prices, price), "at": at}
    pq.write_table(pa.table(columns), file.path, row_group_size=random.choice((1, 7, 1_000)))
    return file, read_mapping(folder / "mapping.yaml")


def _price(cents: int, type_: pa.DataType) -> Any:
    if pa.types.is_decimal(type_):
        return Decimal(cents) / 100
    return cents / 100 if pa.types.is_floating(type_) else f"{cents / 100:.2f}"


def loaded(file: File, mapping: OrderMapping, desk: Desk) -> tuple[Progress, list[dict[str, Any]]]:
    """Load the file as the command does; give the counts and the report."""
    report = file.path.with_name("report")
    journal = open_journal(file.path.with_name("state"), report, "same")
    source = open_source(file.path, mapping)
    done = asyncio.run(load(source, mapping, desk, journal, Pace(7, 2), lambda _: None))  # type: ignore[arg-type]  # a double of the client
    return done, [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []


@dataclass(frozen=True)
class Line:
    """A generated row of an order, and whether it can be read and has a right price."""

    order: str
    sku: str
    cents: int
    readable: bool
    right: bool

    def text(self, key: str) -> str:
        """Write it; what is unreadable has a quote that nobody closes, or too few cells."""
        if self.readable:
            return f"{key},{self.sku},{self.cents if self.right else '1_0'}\n"
        return f'{key},"{self.sku},1\n' if self.cents % 2 else f"{key},{self.sku}\n"


def order_lines(random: Random) -> list[Line]:
    """Draw orders of one to four rows, some wrong, some of whose last row stands at the end of the file instead."""
    together: list[Line] = []
    apart: list[Line] = []
    for number in range(random.randrange(1, 12)):
        rows = [
            Line(f"o{number}", f"s{place}", random.randrange(1, 999), random.random() < 0.95, random.random() < 0.95)
            for place in range(random.randrange(1, 5))
        ]
        # nothing can tell whose row it is that stands apart and cannot be read
        away = len(rows) > 1 and all(row.readable for row in rows) and random.random() < 0.1
        together += rows[:-1] if away else rows
        apart += rows[-1:] if away else []
    return together + apart


def placeable(lines: list[Line]) -> dict[str, list[Line]]:
    """Return the orders that stand together, are right in all rows, and have no unreadable row beside them."""
    runs = [(order, list(rows)) for order, rows in groupby(lines, lambda line: line.order)]
    often = Counter(order for order, _ in runs)
    beside = {one.order for pair in pairwise(lines) for one, other in (pair, pair[::-1]) if not other.readable}
    return {
        order: rows
        for order, rows in runs
        if often[order] == 1 and order not in beside and all(row.readable and row.right for row in rows)
    }


GROUPED = {
    "groupBy": "order",
    "blanks": "AsAbove",
    "order": {
        "idempotencyKey": "{order}",
        "lines": [{"sku": "{sku}", "unitPrice": {"integer": "price"}}],
    },
}


def test_an_order_of_a_file_is_placed_whole_or_named_whole(tmp_path: Path, chaos: Portion) -> None:
    """Whether its later rows say its key or leave it blank; every row of what is not placed is named."""
    (tmp_path / "mapping.yaml").write_text(json.dumps(GROUPED))
    mapping = read_mapping(tmp_path / "mapping.yaml")
    for seed in chaos.turns(range(GROUPED_FILES)):
        random = Random(seed)
        lines, blank = order_lines(random), random.random() < 0.5
        above = ["", *(line.order for line in lines)]
        keys = [
            "" if blank and line.order == before else line.order for line, before in zip(lines, above, strict=False)
        ]
        file = File(tmp_path / "orders.csv")
        texts = [line.text(key) for line, key in zip(lines, keys, strict=True)]
        file.path.write_text("order,sku,price\n" + "".join(texts))
        desk = Desk()
        _, report = loaded(file, mapping, desk)
        right = placeable(lines)
        placed = {key: [(row["sku"], row["unitPrice"]) for row in order["lines"]] for key, order in desk.placed.items()}
        assert placed == {key: [(row.sku, row.cents) for row in rows] for key, rows in right.items()}, seed
        named = [n for entry in report for n in range(entry["line"], entry.get("last_line", entry["line"]) + 1)]
        assert sorted(named) == [n for n, line in enumerate(lines, start=2) if line.order not in right], seed


@pytest.mark.parametrize("write", [csv_file, parquet_file])
def test_each_row_of_a_file_is_placed_or_named(write: Any, tmp_path: Path, chaos: Portion) -> None:
    """What is right is placed as it was written, what is wrong is named by its line, and nothing else happens."""
    for seed in chaos.turns(range(FILES // 2)):
        folder = tmp_path / str(seed % 50)
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        file, mapping = write(Random(seed), folder)
        desk = Desk()
        done, report = loaded(file, mapping, desk)
        assert done.accepted + done.known + done.refused == file.rows, seed
        assert {entry.get("line", entry.get("row")) for entry in report} == file.refused, seed
        placed = {key: {k: v for k, v in order.items() if k != "at"} for key, order in desk.placed.items()}
        expected = {key: {"idempotencyKey": key} | order for key, order in file.placed.items()}
        assert placed == expected, seed
        again, _ = loaded(file, mapping, desk)
        assert (again.known, again.refused) == (done.accepted, done.refused), seed
