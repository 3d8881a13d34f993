"""How rows become orders: the YAML file of `orderflow orders load --mapping`, read once and filled for each order.

It looks like an order of the API, with columns where they belong:

    groupBy: order_key                      # rows that stand together with one order_key are lines of one order
    blanks: AsAbove                         # of its later rows only what the lines need has to be there
    csv: {delimiter: ";", encoding: cp1252} # what the file cannot say itself
    numbers: {decimal: ",", thousands: "."} # 1.234,50
    order:
      idempotencyKey: "erp-{order_key}"     # text with columns put in
      currency: EUR                         # a constant
      allowPartial: {boolean: partial}
      lines:
        - {sku: "{sku}", quantity: {integer: pieces}, unitPrice: {integer: price, times: 100}}
      shipTo: {postcode: {optional: "{zip}"}, ...}  # left out where the column is empty
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import isnan
from pathlib import Path
from typing import Any

from orderflow_cli.bulk_load.numbers import SPACES, NumberFormat
from orderflow_cli.bulk_load.rows import LoadError, RowError, Values
from orderflow_model.findings import InvalidResourceError, did_you_mean
from orderflow_model.loading.strict_yaml import read_yaml

_REMEDY = "examples/tpch/mapping.yaml is one that works"
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
_PARTS = {"groupBy", "blanks", "csv", "numbers", "order"}
_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_DELIMITER = re.compile(r'[^"\r\n]')
_ENCODINGS = "leave it out for UTF-8 and for what begins with a byte order mark, else say one such as cp1252"
_LARGEST = Decimal(10**18)


@dataclass(frozen=True, slots=True)
class Text:
    """Text in which columns are put: (literal, column or None) pairs."""

    parts: Sequence[tuple[str, str | None]]


@dataclass(frozen=True, slots=True)
class Integer:
    """A column that holds a number; it must be whole after multiplication (price 12.34 times 100 is 1234 cents)."""

    column: str
    times: int
    numbers: NumberFormat


@dataclass(frozen=True, slots=True)
class Boolean:
    """A column that holds true or false."""

    column: str


@dataclass(frozen=True, slots=True)
class Optional:
    """A part of an order that is left out where a column of it is empty."""

    node: Any
    columns: frozenset[str]


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """How a CSV file is written; without a delimiter it is found by the header."""

    delimiter: str | None = None
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True)
class OrderMapping:
    """`head` is an order without its lines, made of `head_columns`; each row gives one line by each of `lines`.

    `blank_as_above`: an empty head column, or `group_by` itself, in a later row of an order means what its first says.
    """

    head: dict[str, Any]
    lines: Sequence[Any]
    group_by: str | None
    head_columns: frozenset[str]
    columns: frozenset[str]
    blank_as_above: bool = False
    csv: CsvFormat = CsvFormat()

    def order(self, rows: Sequence[Values]) -> dict[str, Any]:
        """Make the order of these rows; raise `RowError` when a value is missing, wrong, or differs between rows."""
        order: dict[str, Any] = _fill(self.head, rows[0])
        for row in rows[1:]:
            for column in self.head_columns:
                self._check_same(column, row.get(column), rows[0].get(column))
        return order | {"lines": [line for row in rows for line in _fill(self.lines, row)]}

    def makes_lines(self, row: Values) -> bool:
        """Return whether lines of an order can be made of a row."""
        try:
            return bool(_fill(self.lines, row))
        except RowError:
            return False

    def _check_same(self, column: str, value: Any, first: Any) -> None:
        if value != first and not (self.blank_as_above and is_blank(value)):
            raise RowError(f"the rows of this order differ in column {column}")

    def check_columns(self, present: Iterable[str]) -> None:
        """Refuse a file that lacks a column; raise `LoadError` naming it."""
        known = list(present)
        for column in sorted(self.columns - set(known)):
            raise LoadError(f"the file has no column {column}{did_you_mean(column, known)}", "Correct the mapping")


def read_mapping(path: Path) -> OrderMapping:
    """Read the file; raise `LoadError` that says what is wrong in it."""
    try:
        data = read_yaml(path.read_text(encoding="utf-8")).data
    except (OSError, UnicodeDecodeError, InvalidResourceError) as error:
        raise LoadError(f"{path}: {error}", _REMEDY) from None
    try:
        return _mapping(data)
    except ValueError as error:
        raise LoadError(f"{path}: {error}", _REMEDY) from None


def is_blank(value: Any) -> bool:
    """Return whether a cell holds nothing."""
    if isinstance(value, float):
        return isnan(value)  # a table's way to say nothing
    return value is None or (isinstance(value, str) and not value.strip())


def _mapping(data: Any) -> OrderMapping:
    if not isinstance(data, dict) or not set(data) <= _PARTS or not isinstance(data.get("order"), dict):
        raise ValueError("a mapping has `order` and, if its rows are lines, `groupBy`; `blanks`, `csv`, `numbers`")
    order, group_by = data["order"], data.get("groupBy")
    if "idempotencyKey" not in order:
        raise ValueError("order.idempotencyKey is missing: without it a second load would place everything again")
    if not isinstance(order.get("lines"), list):
        raise ValueError("order.lines must be a list of what to make of each row")
    blanks = data.get("blanks", "Refused")
    if blanks not in ("Refused", "AsAbove"):
        raise ValueError(f"blanks: {blanks} is neither Refused nor AsAbove")
    parser = _Parser(_number_format(data.get("numbers", {})))
    if group_by is not None:
        parser.add(group_by, "groupBy")
    head = {name: parser.parse(node, f"order.{name}") for name, node in order.items() if name != "lines"}
    head_columns = frozenset(parser.columns)
    lines = parser.parse(order["lines"], "order.lines")
    columns = frozenset(parser.columns)
    csv = _csv_format(data.get("csv", {}))
    return OrderMapping(head, lines, group_by, head_columns, columns, blanks == "AsAbove", csv)


def _settings(data: Any, place: str, names: set[str]) -> dict[str, str]:
    if not isinstance(data, dict) or not set(data) <= names or not all(isinstance(one, str) for one in data.values()):
        raise ValueError(f"{place} may say {' and '.join(sorted(names))}, each as text")
    return data


def _number_format(data: Any) -> NumberFormat:
    marks = _settings(data, "numbers", {"decimal", "thousands"})
    decimal, thousands = marks.get("decimal", "."), marks.get("thousands", "")
    if decimal not in (".", ",") or thousands not in ("", ".", ",", "'", "’", "_", *SPACES) or decimal == thousands:
        raise ValueError("numbers: decimal is . or , and thousands another of . , ' ’ _ or a blank")
    return NumberFormat(decimal, thousands)


def _csv_format(data: Any) -> CsvFormat:
    said = _settings(data, "csv", {"delimiter", "encoding"})
    delimiter, encoding = said.get("delimiter"), said.get("encoding", "utf-8")
    if delimiter is not None and not _DELIMITER.fullmatch(delimiter):
        raise ValueError(f"csv.delimiter: {delimiter!r} is not one character such as ; or a tab")
    try:
        if "a\n".encode(encoding) != b"a\n":
            raise LookupError
    except (LookupError, ValueError):
        raise ValueError(f"csv.encoding: {encoding} cannot be read by line: {_ENCODINGS}") from None
    return CsvFormat(delimiter, encoding)


class _Parser:
    """Replaces the leaves that name columns; `columns` collects their names."""

    def __init__(self, numbers: NumberFormat) -> None:
        self.columns: set[str] = set()
        self._numbers = numbers

    def add(self, column: Any, place: str) -> str:
        """Note a column and return it."""
        if not isinstance(column, str) or not column.strip():
            raise ValueError(f"{place}: {column} is no column's name; put it in quotes if it is meant")
        self.columns.add(column)
        return column

    def parse(self, node: Any, place: str) -> Any:
        """Return the node with its leaves replaced."""
        if isinstance(node, str):
            return self._text(node, place)
        if isinstance(node, list):
            return [self.parse(item, f"{place}[{i}]") for i, item in enumerate(node)]
        if not isinstance(node, dict):
            return node
        if "integer" in node and set(node) <= {"integer", "times"}:
            return Integer(self.add(node["integer"], place), _times(node.get("times", 1), place), self._numbers)
        if set(node) == {"boolean"}:
            return Boolean(self.add(node["boolean"], place))
        if set(node) == {"optional"}:
            return self._optional(node["optional"], place)
        return {name: self.parse(item, f"{place}.{name}") for name, item in node.items()}

    def _optional(self, node: Any, place: str) -> Optional:
        inner = _Parser(self._numbers)
        parsed = inner.parse(node, place)
        if not inner.columns:
            raise ValueError(f"{place}: optional names no column that could be empty")
        self.columns |= inner.columns
        return Optional(parsed, frozenset(inner.columns))

    def _text(self, text: str, place: str) -> str | Text:
        parts: list[tuple[str, str | None]] = []
        literal, at = "", 0
        for found in _BRACES.finditer(text):
            literal += text[at : found.start()]
            at = found.end()
            if found[0] in ("{{", "}}"):
                literal += found[0][0]
            elif found[1] is None:
                raise ValueError(f"{place}: a single {found[0]}; write {found[0] * 2} for a brace that is meant")
            elif not found[1].strip():
                raise ValueError(f"{place}: {{}} names no column")
            else:
                parts.append((literal, self.add(found[1].strip(), place)))
                literal = ""
        literal += text[at:]
        return Text([*parts, (literal, None)]) if parts else literal


def _times(times: Any, place: str) -> int:
    if not isinstance(times, int) or times < 1:
        raise ValueError(f"{place}: times must be a whole number such as 100")
    return times


def _fill(node: Any, row: Values) -> Any:
    match node:
        case Text():
            return "".join(part if name is None else f"{part}{_value(row, name)}" for part, name in node.parts)
        case Integer():
            return _integer(row, node)
        case Boolean():
            return _boolean(row, node.column)
        case Optional():
            return None if any(is_blank(row.get(column)) for column in node.columns) else _fill(node.node, row)
        case dict():
            filled = {name: _fill(item, row) for name, item in node.items()}
            return {name: item for name, item in filled.items() if item is not None}
        case list():
            return [filled for item in node if (filled := _fill(item, row)) is not None]
        case _:
            return node


def _value(row: Values, column: str) -> Any:
    value = row.get(column)
    if is_blank(value):
        raise RowError(f"column {column} is empty")
    if isinstance(value, dict | list | bytes):
        raise RowError(f"column {column} holds no plain value")
    if isinstance(value, RowError):
        raise RowError(f"column {column}: {value}")
    return value


def _integer(row: Values, leaf: Integer) -> int:
    value = _value(row, leaf.column)
    number = leaf.numbers.read(value)
    if number is None or not number.is_finite():
        raise RowError(f"column {leaf.column}: {str(value)[:40]!r} is not a number as the mapping has them")
    times = number * leaf.times if abs(number) < _LARGEST else Decimal("NaN")
    if times.is_finite() and times == int(times):
        return int(times)
    raise RowError(f"column {leaf.column}: {str(value)[:40]!r} times {leaf.times} is not a whole number")


def _boolean(row: Values, column: str) -> bool:
    value = _value(row, column)
    try:
        return _BOOLEANS[str(value).strip().lower()]
    except KeyError:
        raise RowError(f"column {column}: {str(value)[:40]!r} is neither true nor false") from None
