"""Files as other systems export them: shops, spreadsheets of other countries, writers of Parquet old and new."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orderflow_cli.bulk_load.drafts import Draft, drafts
from orderflow_cli.bulk_load.groups import scattered
from orderflow_cli.bulk_load.mapping import OrderMapping, read_mapping
from orderflow_cli.bulk_load.rows import LoadError, RowError
from orderflow_cli.bulk_load.sources import open_source
from orderflow_order.http.requests import KeyedOrderRequest

SHOPIFY = Path(__file__).parents[3] / "examples" / "shopify"
GROUPED = """
groupBy: order
blanks: AsAbove
order:
  idempotencyKey: "{order}"
  lines: [{sku: "{sku}", quantity: {integer: n}}]
"""

EACH = GROUPED.replace("groupBy: order\n", "")


def read(path: Path, mapping: OrderMapping | None) -> list[Draft]:
    """Make orders of a file, as a load does."""
    source = open_source(path, mapping)
    elsewhere = scattered(source.rows(0), mapping) if mapping and mapping.group_by else ()
    return list(drafts(source.rows(0), mapping, elsewhere))


def told(orders: list[Draft]) -> list[tuple[int, int, Any]]:
    """Give lines and, of each, the order or the reason why there is none."""
    return [(d.first, d.last, str(d.order) if isinstance(d.order, RowError) else json.loads(d.order)) for d in orders]


def mapping(folder: Path, text: str = GROUPED) -> OrderMapping:
    """Read a mapping from text."""
    (folder / "mapping.yaml").write_text(text)
    return read_mapping(folder / "mapping.yaml")


def csv_of(folder: Path, content: str | bytes) -> Path:
    """Write a CSV file."""
    path = folder / "orders.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_an_export_of_shopify_is_orders_of_several_lines() -> None:
    """What stands in an order's first row alone counts for all of them; a column nobody reads may stand twice."""
    first, second = told(read(SHOPIFY / "orders_export.csv", read_mapping(SHOPIFY / "mapping.yaml")))
    assert first[:2] == (2, 4)
    assert first[2]["lines"] == [
        {"sku": "MUG-BLUE", "quantity": 1, "unitPrice": 1990},
        {"sku": "TEA-20", "quantity": 2, "unitPrice": 2000},
    ]
    assert second[2]["idempotencyKey"] == "shopify-5002"
    for _, _, order in (first, second):
        KeyedOrderRequest.model_validate_json(json.dumps(order))


def test_one_stray_quote_takes_one_row(tmp_path: Path) -> None:
    """The row with the quote is refused, the thousands after it are read."""
    rows = [f"{n},s{n},1" for n in range(3_000)]
    rows[1214] = '1214,"s1214,1'
    found = told(read(csv_of(tmp_path, "\n".join(["order,sku,n", *rows])), mapping(tmp_path, EACH)))
    assert len(found) == 3_000
    assert [(first, last) for first, last, order in found if isinstance(order, str)] == [(1216, 1216)]


@pytest.mark.parametrize(
    ("opening", "closing"), [('10,"s10,1', '40,s40",1'), ('10,s10,"1', '40,s40,1"'), ('"10,s10,1', '40",s40,1')]
)
def test_two_stray_quotes_take_two_rows(tmp_path: Path, opening: str, closing: str) -> None:
    """What stands between them is rows, and no cell of many lines."""
    rows = [f"{n},s{n},1" for n in range(50)]
    rows[10], rows[40] = opening, closing
    found = told(read(csv_of(tmp_path, "\n".join(["order,sku,n", *rows])), mapping(tmp_path, EACH)))
    refused = {first for first, _, order in found if isinstance(order, str)}
    assert refused == {12, 42}
    assert [first for first, _, _ in found] == list(range(2, 52))


@pytest.mark.parametrize("sku", ["Müller\nBerlin, Germany", "a, b\nc, d\ne, f", "\n,\n", "a\nb,1", "a\rb\nc\rd\n"])
def test_a_cell_of_many_lines_is_one_value(tmp_path: Path, sku: str) -> None:
    """Whatever delimiters its lines have, as long as they are no rows."""
    content = f'order,sku,n\n1,"{sku}",1\n2,s,1\n'
    first, second = told(read(csv_of(tmp_path, content), mapping(tmp_path, EACH)))
    assert first[2]["lines"] == [{"sku": sku, "quantity": 1}]
    assert second[2]["idempotencyKey"] == "2"


def test_a_line_in_another_encoding_is_named_where_it_stands(tmp_path: Path) -> None:
    """Within a cell of many lines too; the rows after it are read."""
    content = 'order,sku,n\n1,"a\nü",1\n2,ü,1\n3,s,1\n'.encode("cp1252")
    found = told(read(csv_of(tmp_path, content), mapping(tmp_path, EACH)))
    assert [first for first, _, order in found if isinstance(order, dict)] == [5]
    assert found[0][2] == "line 3, within its quotes: the line is not UTF-8 at byte 0"
    assert found[-2][2] == "the line is not UTF-8 at byte 2"


@pytest.mark.parametrize(
    ("rows", "placed"),
    [
        (["a,s1,1", "b,s2,1", "a,s3,1"], {"b"}),
        (["a,s1,1", ",s2,1", "b,s3,1", ",s4,1", "a,s5,1", ",s6,1"], {"b"}),
        (["a,s1,1", 'a,"s2,1', "b,s3,1", "c,s4,1"], {"c"}),
        (['a,"s1,1', "a,s2,1", "c,s4,1"], {"c"}),
        (["a,s1,1", "b,s2", "c,s3,1", "d,s4,1"], {"d"}),
        (["a,s1,1", "a,s2,x", "b,s3,1"], {"b"}),
        ([",s0,1", "a,s1,1", ",s2,1"], {"a"}),
        (["a,s1,1", "a,,1", "b,s3,1"], {"b"}),
    ],
)
def test_an_order_is_placed_whole_or_not_at_all(tmp_path: Path, rows: list[str], placed: set[str]) -> None:
    """Rows that stand apart, cannot be read or have no value refuse all of their order; every row is told of."""
    found = told(read(csv_of(tmp_path, "\n".join(["order,sku,n", *rows])), mapping(tmp_path)))
    assert {order["idempotencyKey"] for _, _, order in found if isinstance(order, dict)} == placed
    assert [n for first, last, _ in found for n in range(first, last + 1)] == list(range(2, len(rows) + 2))


@pytest.mark.parametrize("row", [",s2,1", " ,s2,1"])
def test_a_row_of_no_order_refuses_those_beside_it(tmp_path: Path, row: str) -> None:
    """Where the mapping does not say what a blank means, the row may be a line of either."""
    text = "\n".join(["order,sku,n", "z,s0,1", "a,s1,1", row, "b,s3,1", "c,s4,1"])
    found = told(read(csv_of(tmp_path, text), mapping(tmp_path, GROUPED.replace("blanks: AsAbove\n", ""))))
    assert [order["idempotencyKey"] for _, _, order in found if isinstance(order, dict)] == ["z", "c"]
    assert [first for first, _, _ in found] == [2, 3, 4, 5, 6]


def test_a_column_may_differ_from_the_first_row_by_being_blank_only(tmp_path: Path) -> None:
    """A column that differs within an order is refused still, where blanks mean as above."""
    text = GROUPED.replace('idempotencyKey: "{order}"', 'idempotencyKey: "{order}"\n  note: "{note}"')
    content = "order,sku,n,note\na,s,1,x\na,s,1,\na,s,1,y\nb,s,1,z\n,s,1,\n"
    first, second = told(read(csv_of(tmp_path, content), mapping(tmp_path, text)))
    assert "differ in column note" in first[2]
    assert len(second[2]["lines"]) == 2


EUROPEAN = """
csv: {encoding: cp1252}
numbers: {decimal: ",", thousands: "."}
order:
  idempotencyKey: "{Bestell-Nr.: intern}"
  lines: [{sku: "{Artikel}", unitPrice: {integer: Preis, times: 100}}]
"""


@pytest.mark.parametrize(
    "content",
    [
        "Bestell-Nr.: intern;Artikel;Preis;\r\n7;Tür;1.234,50;\r\n;;;\r\n".encode("cp1252"),
        "sep=;\r\nBestell-Nr.: intern;Artikel;Preis\r\n7;Tür;1234,5\r\n".encode("cp1252"),
        b"\xef\xbb\xbf" + "Bestell-Nr.: intern;Artikel;Preis\r\n7;Tür;1.234,50".encode(),
        "Bestell-Nr.: intern\tArtikel\tPreis\r\n7\tTür\t 1.234,50 \r\n".encode("utf-16"),
        '"Bestell-Nr.: intern","Artikel","Preis"\n"7","Tür","1.234,50"\n'.encode("cp1252"),
    ],
    ids=["semicolons", "sep=", "UTF-8 with a mark", "UTF-16 with tabs", "commas"],
)
def test_a_spreadsheet_of_another_country_is_read(tmp_path: Path, content: bytes) -> None:
    """Its delimiter is found, its marks are said, and columns may have any name."""
    found = told(read(csv_of(tmp_path, content), mapping(tmp_path, EUROPEAN)))
    assert [order for _, _, order in found] == [{"idempotencyKey": "7", "lines": [{"sku": "Tür", "unitPrice": 123450}]}]


@pytest.mark.parametrize("mark", [" ", "\u00a0", "\u202f", "\u2009"])
@pytest.mark.parametrize("written", [" ", "\u00a0", "\u202f", "\u2009"])
def test_one_blank_between_thousands_is_as_good_as_another(tmp_path: Path, mark: str, written: str) -> None:
    """Whichever the mapping says and whichever a spreadsheet writes: nobody sees which it is."""
    text = "order: {idempotencyKey: '{no}', lines: [{unitPrice: {integer: price, times: 100}}]}"
    numbers = f'numbers: {{decimal: ",", thousands: "{mark}"}}\n'
    content = f"no;price\n1;1{written}234,50\n"
    ((_, _, order),) = told(read(csv_of(tmp_path, content), mapping(tmp_path, numbers + text)))
    assert order["lines"] == [{"unitPrice": 123450}]


@pytest.mark.parametrize(
    "price", ["12_50", "１２", "1e3", "1.2.3", "12.34,5", "12,345", "0x10", "12 34", "+-1", "", "NaN", "٣"]
)
def test_only_a_prices_grammar_is_a_number(tmp_path: Path, price: str) -> None:
    """What another reading could take for another amount is refused, and never guessed."""
    text = "order: {idempotencyKey: '{no}', lines: [{unitPrice: {integer: price, times: 100}}]}"
    ((_, _, reason),) = told(read(csv_of(tmp_path, f'no,price\n1,"{price}"\n'), mapping(tmp_path, text)))
    assert "column price" in reason


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"order,sku,n,sku\n", "column sku stands 2 times"),
        (b"order;sku\n", "no column n"),
        (b",,\n", "no column n"),
        (b"order,sku,n\ra,s,1\r", "CR alone"),
        (b'order,"sku,n\n', "names no columns: unexpected end"),
        ("order,sku,n\n".encode("utf-16-le"), "NUL characters"),
        (b"\n", "names no columns"),
        ("order,sku,n\u00fc\n".encode("cp1252"), "not UTF-8"),
    ],
)
def test_a_header_that_cannot_be_used_is_refused_in_a_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    """Before anything is placed, with the file and what to do."""
    with pytest.raises(LoadError, match=words):
        open_source(csv_of(tmp_path, content), mapping(tmp_path))


def test_a_header_may_break_its_lines(tmp_path: Path) -> None:
    """Spreadsheets let people do so; a row's line is counted from the file's first."""
    text = EACH.replace("{order}", "{Order\\nno}")
    ((line, _, order),) = told(read(csv_of(tmp_path, 'sku;"Order\nno";n\ns;7;1\n'), mapping(tmp_path, text)))
    assert line == 3
    assert order["idempotencyKey"] == "7"


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("pack", [False, True])
def test_an_array_of_json_is_read_by_element(tmp_path: Path, pack: bool, indent: int | None) -> None:
    """However it is laid out; an element that is no order is refused alone."""
    orders: list[Any] = [{"idempotencyKey": "a"}, 7, {"idempotencyKey": "b", "x": [1, {}]}, []]
    text = json.dumps([*orders, *({"idempotencyKey": str(n)} for n in range(9_000))], indent=indent)
    path = tmp_path / ("orders.json.gz" if pack else "orders.json")
    path.write_bytes(gzip.compress(text.encode()) if pack else text.encode())
    found = told(read(path, None))
    assert [first for first, _, order in found if isinstance(order, str)] == [2, 4]
    assert [first for first, _, _ in found] == list(range(1, 9_005))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_array_of_json_may_begin_with_a_mark(tmp_path: Path, encoding: str) -> None:
    """As .NET and PowerShell write them; a number at the end of what is read at once is read whole."""
    text = '[{"idempotencyKey": "ü"}' + ", 77777" * 4_000 + "]"
    (tmp_path / "orders.json").write_text(text, encoding=encoding)
    found = told(read(tmp_path / "orders.json", None))
    assert found[0] == (1, 1, {"idempotencyKey": "ü"})
    assert len(found) == 4_001


def test_what_a_column_may_hold_in_json_refuses_its_row_at_most(tmp_path: Path) -> None:
    """Lists as keys, objects as numbers, NaN where a table has nothing."""
    rows = [{"order": [1]}, {"order": {}}, {"order": "a", "n": {}}, {"order": "b", "n": float("nan")}, {"order": 2}]
    whole = [{"sku": "s", "n": 1} | row for row in rows]
    (tmp_path / "orders.json").write_text(json.dumps(whole))
    found = told(read(tmp_path / "orders.json", mapping(tmp_path)))
    assert [first for first, _, order in found if isinstance(order, dict)] == [5]
    assert [first for first, _, _ in found] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("number", ["1" * 5_000, "-" + "9" * 20_000, "1e400", "1" * 1_001])
def test_a_number_of_any_length_refuses_its_row_at_most(tmp_path: Path, number: str) -> None:
    """The elements beside it are read, mapped or not."""
    row = '{"order": "%s", "sku": "s", "n": %s}'
    (tmp_path / "orders.json").write_text(f"[{row % ('a', number)}, {row % ('b', 2)}]")
    first, second = told(read(tmp_path / "orders.json", mapping(tmp_path, EACH)))
    assert isinstance(first[2], str) or first[2]["lines"][0]["quantity"] == int(number)
    assert second[2]["lines"] == [{"sku": "s", "quantity": 2}]
    assert len(read(tmp_path / "orders.json", None)) == 2


def test_lines_in_a_file_called_json_are_read_by_line(tmp_path: Path) -> None:
    """Many exports are called so."""
    (tmp_path / "orders.json").write_text('{"idempotencyKey": "a"}\n{\n{"idempotencyKey": "b"}\n')
    assert [isinstance(order, dict) for _, _, order in told(read(tmp_path / "orders.json", None))] == [
        True,
        False,
        True,
    ]


@pytest.mark.parametrize(
    "text", ["[1, 2", '[{"a": 1} {"b": 2}]', "[{]", "[1] 2", "[" + "[" * 70_000, '["' + "x" * 10**5]
)
def test_an_array_that_is_broken_stops_the_load_with_its_line(tmp_path: Path, text: str) -> None:
    """There is no telling where its next element would begin."""
    (tmp_path / "orders.json").write_text(text)
    with pytest.raises(LoadError, match="line 1: "):
        read(tmp_path / "orders.json", None)


def test_a_packed_file_that_is_cut_off_stops_the_load(tmp_path: Path) -> None:
    """In a sentence, after the rows that were whole."""
    packed = gzip.compress("\n".join(json.dumps({"idempotencyKey": str(n)}) for n in range(9_999)).encode())
    (tmp_path / "orders.ndjson.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(LoadError, match="what is compressed is damaged"):
        read(tmp_path / "orders.ndjson.gz", None)


def test_a_parquet_file_holds_orders_with_nulls_for_what_is_left_out(tmp_path: Path) -> None:
    """Nested, as pandas and Spark write them; what Python has no value for is text or refuses its row."""
    place = {"city": "Ghent", "postcode": None}
    moments = pa.array([2**40, 2**40 + 1], pa.int64()).cast(pa.timestamp("ns"))
    far = pa.array([4 * 10**11, 0], pa.int64()).cast(pa.timestamp("s"))
    columns = {"idempotencyKey": ["a", "b"], "shipTo": [place, None], "at": moments, "until": far}
    pq.write_table(pa.table(columns), tmp_path / "orders.parquet")
    first, second = told(read(tmp_path / "orders.parquet", None))
    assert first[2]["shipTo"] == {"city": "Ghent"}
    assert "shipTo" not in second[2]
    assert {type(order["at"]) for _, _, order in (first, second)} == {str}


def test_a_value_that_cannot_be_read_refuses_its_row(tmp_path: Path) -> None:
    """Text that is no UTF-8 and times of a place that is none, in a key or beside it; NaN is nothing."""
    raw = pa.array([b"a", b"\xff", b"c", b"c"]).cast(pa.binary()).view(pa.string())
    columns = {"order": raw, "sku": ["s", "s", "s", "s"], "n": [1.0, 1.0, 1.0, float("nan")]}
    pq.write_table(pa.table(columns), tmp_path / "orders.parquet")
    found = told(read(tmp_path / "orders.parquet", mapping(tmp_path)))
    assert [reason.partition(": ")[0] for _, _, reason in found if isinstance(reason, str)] == [
        "the row at 2 beside it may be one of this order's, and is refused",
        "a string that cannot be read",
        "column n is empty",
    ]
    nowhere = pa.array([1], pa.timestamp("us", tz="No/Where"))
    pq.write_table(pa.table({"idempotencyKey": ["a"], "at": nowhere}), tmp_path / "orders.parquet")
    ((_, _, reason),) = told(read(tmp_path / "orders.parquet", None))
    assert "column at: a timestamp" in reason


def test_a_time_that_no_calendar_has_is_no_value(tmp_path: Path) -> None:
    """Its row is refused: what Arrow says of it is not taken for text, and the rows beside it are read."""
    times = pa.array([2**40, 0, -(2**40)], pa.timestamp("s"))
    pq.write_table(pa.table({"order": times, "sku": ["s"] * 3, "n": [1] * 3}), tmp_path / "orders.parquet")
    first, second, third = told(read(tmp_path / "orders.parquet", mapping(tmp_path, EACH)))
    assert second[2]["idempotencyKey"].startswith("1970-01-01")
    for refused in (first, third):
        assert "a timestamp[ms] that cannot be read" in refused[2]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()], ids=str)
def test_bytes_that_are_text_are_text(tmp_path: Path, kind: pa.DataType) -> None:
    """Old writers do not say which bytes are text, and newer ones keep them in other ways."""
    table = pa.table({"order": pa.array([b"a", b"\xff"], kind), "sku": ["s"] * 2, "n": [1] * 2})
    pq.write_table(table, tmp_path / "orders.parquet")
    first, second = told(read(tmp_path / "orders.parquet", mapping(tmp_path, EACH)))
    assert first[2]["idempotencyKey"] == "a"
    assert "column order" in second[2]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 9, b"order,sku,n\n", bytes(2_000)])
def test_what_is_no_parquet_file_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    """Cut off, empty or something else."""
    (tmp_path / "orders.parquet").write_bytes(content)
    with pytest.raises(LoadError):
        open_source(tmp_path / "orders.parquet", None)
