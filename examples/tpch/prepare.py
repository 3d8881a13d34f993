"""Joins TPC-H's orders, lineitem and customer (Parquet, by tpchgen-cli) into one file, an order's lines together.

    python examples/tpch/prepare.py FOLDER OUT.parquet --orders 20000 --declined 0.05 --unknown 0.01 --unserved 0.01

TPC-H knows neither payment tokens nor refusals: which orders fail is drawn from a hash of the order's key, so the
same data always gives the same file. It holds the tables in memory: meant for scale factors up to 1.
"""

import argparse
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SKUS = 100  # the reference shop's shelf: SKU-0001 to SKU-0100
# By n_nationkey, from ALGERIA to UNITED STATES.
COUNTRIES = tuple("DZ AR BR CA EG ET FR DE IN ID IR IQ JP JO KE MA MZ PE CN RO SA VN RU GB US".split())  # noqa: SIM905 - readable
UNSERVED = "XX"

_ORDERS = {"o_orderkey": "order_key", "o_custkey": "customer_key"}
_LINES = {
    "l_orderkey": "order_key",
    "l_linenumber": "line",
    "l_partkey": "part_key",
    "l_quantity": "quantity",
    "l_extendedprice": "extended_price",
}
_CUSTOMERS = {
    "c_custkey": "customer_key",
    "c_name": "customer_name",
    "c_address": "street",
    "c_nationkey": "nation_key",
}


def prepare(folder: Path, most: int, declined: float, unknown: float, unserved: float) -> pa.Table:
    """Return one row a line of the first `most` orders; shares from 0 to 1."""
    orders = _read(folder / "orders.parquet", _ORDERS).sort_by("order_key").slice(0, most)
    orders = orders.append_column("token", pa.array(_tokens(orders["order_key"].to_pylist(), declined, unknown)))
    rows = orders.join(_read(folder / "lineitem.parquet", _LINES), "order_key", join_type="inner")
    rows = rows.join(_read(folder / "customer.parquet", _CUSTOMERS), "customer_key", join_type="inner")
    rows = rows.sort_by([("order_key", "ascending"), ("line", "ascending")])
    rows = rows.append_column("country", pa.array(_countries(rows, unserved)))
    rows = rows.append_column("sku", pa.array([f"SKU-{key % SKUS + 1:04}" for key in rows["part_key"].to_pylist()]))
    rows = rows.append_column("unit_price", pc.divide(rows["extended_price"], rows["quantity"]))
    return rows.drop_columns(["nation_key", "part_key", "extended_price"])


def draw(order_key: int, what: str) -> float:
    """Return a number from 0 to 1, always the same for the same order and purpose."""
    return zlib.crc32(f"{what} {order_key}".encode()) / 2**32


def _tokens(keys: list[int], declined: float, unknown: float) -> list[str]:
    def token(key: int) -> str:
        drawn = draw(key, "payment")
        if drawn < declined:
            return "tok_declined"
        return "tok_unknown" if drawn < declined + unknown else "tok_visa"

    return [token(key) for key in keys]


def _countries(rows: pa.Table, unserved: float) -> list[str]:
    pairs = zip(rows["order_key"].to_pylist(), rows["nation_key"].to_pylist(), strict=True)
    return [UNSERVED if draw(key, "shipping") < unserved else COUNTRIES[nation] for key, nation in pairs]


def _read(path: Path, columns: dict[str, str]) -> pa.Table:
    """Read these columns under other names; as plain text columns, because a join takes no string views."""
    table = pq.read_table(path, columns=list(columns)).rename_columns(list(columns.values()))
    fields = [f.with_type(pa.string()) if pa.types.is_string_view(f.type) else f for f in table.schema]
    return table.cast(pa.schema(fields))


def main() -> None:
    """Read the arguments, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where tpchgen-cli wrote the tables")
    parser.add_argument("out", type=Path, help="the file to write")
    parser.add_argument("--orders", type=int, default=20_000, help="at most so many orders")
    for share in ("declined", "unknown", "unserved"):
        parser.add_argument(f"--{share}", type=float, default=0.0, help="share of orders, from 0 to 1")
    given = parser.parse_args()
    rows = prepare(given.folder, given.orders, given.declined, given.unknown, given.unserved)
    pq.write_table(rows, given.out, row_group_size=20_000)
    print(f"{pc.count_distinct(rows['order_key'])} orders, {rows.num_rows} lines: {given.out}")


if __name__ == "__main__":
    main()
