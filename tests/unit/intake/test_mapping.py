"""The mapping file: columns become orders, and what is wrong in it is said by its place."""

from decimal import Decimal
from pathlib import Path

import pytest

from orderflow_cli.bulk_load.mapping import OrderMapping, read_mapping
from orderflow_cli.bulk_load.rows import LoadError, RowError

TPCH = Path(__file__).parents[3] / "examples" / "tpch" / "mapping.yaml"
SMALL = """
groupBy: "no"
order:
  idempotencyKey: "erp-{no}"
  currency: EUR
  allowPartial: {boolean: part}
  shipTo: {country: "{land}"}
  lines:
    - {sku: "{article}", quantity: {integer: pieces}, unitPrice: {integer: price, times: 100}}
"""
ROW = {"no": 7, "part": "True", "land": "DE", "article": "A", "pieces": "3", "price": "12.34"}


def mapping(tmp_path: Path, text: str = SMALL) -> OrderMapping:
    """Read a mapping from text."""
    file = tmp_path / "mapping.yaml"
    file.write_text(text)
    return read_mapping(file)


def test_rows_of_one_order_become_its_lines(tmp_path: Path) -> None:
    """The head comes from the first row, a line from each; numbers are whole, prices in minor units."""
    rows = [ROW, ROW | {"article": "B", "pieces": Decimal("2.00"), "price": 0.5}]
    assert mapping(tmp_path).order(rows) == {
        "idempotencyKey": "erp-7",
        "currency": "EUR",
        "allowPartial": True,
        "shipTo": {"country": "DE"},
        "lines": [
            {"sku": "A", "quantity": 3, "unitPrice": 1234},
            {"sku": "B", "quantity": 2, "unitPrice": 50},
        ],
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"pieces": "1.5"}, "pieces"),
        ({"pieces": "many"}, "pieces"),
        ({"pieces": "NaN"}, "pieces"),
        ({"pieces": "1e400"}, "pieces"),
        ({"price": "0.001"}, "price"),
        ({"land": ""}, "land is empty"),
        ({"land": None}, "land is empty"),
        ({"land": {"code": "DE"}}, "no plain value"),
        ({"part": "perhaps"}, "neither true nor false"),
    ],
)
def test_a_value_that_does_not_fit_is_named(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    """The reason names the column, for the report."""
    with pytest.raises(RowError, match=reason):
        mapping(tmp_path).order([ROW | change])


def test_rows_that_contradict_each_other_are_no_order(tmp_path: Path) -> None:
    """An address that differs between an order's rows is refused rather than chosen from."""
    with pytest.raises(RowError, match="differ in column land"):
        mapping(tmp_path).order([ROW, ROW | {"land": "FR"}])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("order: {currency: EUR, lines: []}", "idempotencyKey"),
        ("order: {idempotencyKey: a}", "lines"),
        ("orders: {}", "`order`"),
        ("- 1", "`order`"),
        ("order: {idempotencyKey: '{no', lines: []}", r"order\.idempotencyKey"),
        ("order: {idempotencyKey: '{}', lines: []}", "names no column"),
        ("order: {idempotencyKey: 'no}', lines: []}", r"order\.idempotencyKey: a single }"),
        ("order: {idempotencyKey: a, lines: [{optional: b}]}", r"lines\[0\]: optional names no column"),
        ("{blanks: Above, order: {idempotencyKey: a, lines: []}}", "blanks: Above is neither"),
        ("{numbers: {decimal: ','}, csv: {delimiter: ';;'}, order: {idempotencyKey: a, lines: []}}", "csv.delimiter"),
        ("{numbers: {decimal: ',', thousands: ','}, order: {idempotencyKey: a, lines: []}}", "numbers: decimal"),
        ("{groupBy: '', order: {idempotencyKey: a, lines: []}}", "groupBy:  is no column"),
        ("{csv: {encoding: utf-32}, order: {idempotencyKey: a, lines: []}}", "csv.encoding: utf-32"),
        ("order: {idempotencyKey: a, lines: [{quantity: {integer: n, times: 0.5}}]}", r"lines\[0\]\.quantity"),
        ("{groupBy: no, order: {idempotencyKey: a, lines: []}}", "groupBy: False is no column"),
        ("a: [", "yaml"),
    ],
)
def test_a_broken_mapping_is_refused_by_its_place(tmp_path: Path, text: str, reason: str) -> None:
    """A mapping that cannot work stops the load before the first row."""
    with pytest.raises(LoadError, match=reason):
        mapping(tmp_path, text)


def test_a_column_that_the_file_lacks_is_refused_with_the_likely_one(tmp_path: Path) -> None:
    """A typing error in the mapping is found before the first row."""
    with pytest.raises(LoadError, match="no column article; did you mean artikel"):
        mapping(tmp_path).check_columns([*(ROW.keys() - {"article"}), "artikel"])


def test_the_example_of_tpch_is_a_mapping() -> None:
    """The file that the messages point to can be read."""
    assert read_mapping(TPCH).group_by == "order_key"
