"""Input files of every kind: each row has its number, a broken one its reason, and reading goes on after it."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orderflow_cli.bulk_load.drafts import MAX_LINES, Draft, batches, drafts
from orderflow_cli.bulk_load.mapping import OrderMapping
from orderflow_cli.bulk_load.rows import LoadError, Row, RowError, Source
from orderflow_cli.bulk_load.sources import open_source
from orderflow_cli.bulk_load.text import MAX_LINE_BYTES

BY_NUMBER = OrderMapping({"idempotencyKey": "k"}, [], "no", frozenset({"no"}), frozenset({"no"}))


def reading(*columns: str) -> OrderMapping:
    """Make a mapping that reads these columns."""
    return OrderMapping({}, [], None, frozenset(), frozenset(columns))


def rows_of(source: Source, after: int = 0) -> list[tuple[int, Any]]:
    """Give (number, values or reason) of each row."""
    return [(r.number, str(r.values) if isinstance(r.values, RowError) else r.values) for r in source.rows(after)]


def write(path: Path, content: bytes) -> Path:
    """Write a file."""
    path.write_bytes(content)
    return path


def test_broken_lines_of_ndjson_leave_the_others_alone(tmp_path: Path) -> None:
    """Whatever a line holds, it has its number and its reason, and the next line is read."""
    broken = [b"{", b"[1]", b'{"a": NaN}', b"\xff\xfe", b'"' + b"x" * 3 * MAX_LINE_BYTES + b'"', b"[" * 10_000]
    content = b"\xef\xbb\xbf" + b"\n".join([b'{"a": 1}', b"", *broken, b'{"a": 2}'])
    rows = rows_of(open_source(write(tmp_path / "a.ndjson", content), None))
    assert [number for number, _ in rows] == [1, *range(3, 10)]
    assert rows[0] == (1, {"a": 1})
    assert rows[-1] == (9, {"a": 2})
    assert [reason.partition(":")[0] for _, reason in rows[1:-1]] == [
        "not JSON",
        "the line is not a JSON object",
        "not JSON",
        "the line is not UTF-8 at byte 0",
        f"the line is longer than {MAX_LINE_BYTES} bytes",
        "not JSON",
    ]


def test_broken_rows_of_csv_leave_the_others_alone(tmp_path: Path) -> None:
    """Too few cells, wrong quotes or bytes that are not UTF-8 break one row; a cell may hold line breaks."""
    content = b'no,name\n1,"a\nb"\n2\n3,"x"y\n\n4,\xff\n5,' + b"z" * 2 * MAX_LINE_BYTES + b"\n6,f"
    rows = rows_of(open_source(write(tmp_path / "a.csv", content), reading("no", "name")))
    assert [number for number, _ in rows] == [2, 4, 5, 7, 8, 9]
    assert rows[0] == (2, {"no": "1", "name": "a\nb"})
    assert rows[-1] == (9, {"no": "6", "name": "f"})
    assert [type(values) for _, values in rows[1:-1]] == [str] * 4


@pytest.mark.parametrize("name", ["a.ndjson", "a.csv", "a.parquet"])
def test_reading_goes_on_after_any_row(tmp_path: Path, name: str) -> None:
    """From each row's number, the rest of the file is what followed it."""
    path = tmp_path / name
    if name == "a.parquet":
        pq.write_table(pa.table({"no": list(range(25)), "other": ["x"] * 25}), path, row_group_size=10)
    else:
        form = '{{"no": {}}}\n' if name == "a.ndjson" else "{}\n"
        path.write_text(("no\n" if name == "a.csv" else "") + "".join(form.format(no) for no in range(25)))
    source = open_source(path, BY_NUMBER)
    everything = list(source.rows(0))
    assert [str(row.values["no"]) for row in everything if not isinstance(row.values, RowError)] == [
        *map(str, range(25))
    ]
    assert [row.end for row in everything][-1] == source.size
    for index, row in enumerate(everything):
        assert list(source.rows(row.number)) == everything[index + 1 :]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b""),
        ("a.parquet", b"PAR1"),
        ("a.csv", b""),
        ("a.csv", b"no,no\n"),
        ("a.csv", b"\xff\n"),
        ("a.csv", b"other\n"),
    ],
)
def test_a_file_that_cannot_be_read_stops_the_load(tmp_path: Path, name: str, content: bytes) -> None:
    """What is no such file, or lacks a mapped column, is said at once."""
    with pytest.raises(LoadError):
        open_source(write(tmp_path / name, content), BY_NUMBER)


def test_a_damaged_parquet_file_stops_the_load_where_it_is_damaged(tmp_path: Path) -> None:
    """Bytes that cannot be decoded are an error with the row it comes after, never a crash."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"no": list(range(5_000))}), path, compression="zstd", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[20:400] = bytes(380)
    path.write_bytes(content)
    with pytest.raises(LoadError, match="after row 0"):
        list(open_source(path, BY_NUMBER).rows(0))


def test_rows_together_are_one_order_and_too_many_are_none(tmp_path: Path) -> None:
    """Groups follow the column; more rows than an order has lines are refused as one, without being held."""
    numbers = [1, 1, 2, *[3] * (MAX_LINES + 1), None, None]
    made = list(drafts([Row(i, i, i, {"no": no}) for i, no in enumerate(numbers, start=1)], BY_NUMBER))
    assert [(d.first, d.last) for d in made] == [(1, 2), (3, 3), (4, 104), (105, 105), (106, 106)]
    assert [isinstance(d.order, RowError) for d in made] == [False, False, True, True, True]


def test_a_batch_is_bounded_by_orders_and_by_bytes() -> None:
    """No request is larger than the order service reads, whatever the orders' size."""
    large = [Draft(i, i, i, None, b"x" * 60_000) for i in range(100)]
    cut = list(batches(large, 500))
    assert [draft for batch in cut for draft in batch] == large
    assert max(sum(len(d.order) + 1 for d in batch if isinstance(d.order, bytes)) for batch in cut) <= 2 * 1024 * 1024
    assert [len(batch) for batch in batches(large[:5], 2)] == [2, 2, 1]
