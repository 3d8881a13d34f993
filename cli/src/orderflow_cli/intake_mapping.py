"""How rows become orders: the YAML file of `orderflow orders load --mapping`, read once and filled for each order.

It looks like an order of the API, with columns where they belong:

    groupBy: order_key                      # rows that stand together with one order_key are lines of one order
    order:
      idempotencyKey: "erp-{order_key}"     # text with columns put in
      currency: EUR                         # a constant
      allowPartial: {boolean: partial}
      lines:
        - {sku: "{sku}", quantity: {integer: pieces}, unitPrice: {integer: price, times: 100}}
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from string import Formatter
from typing import Any

from orderflow_cli.intake_rows import LoadError, RowError, Values
from orderflow_model.findings import InvalidResource, did_you_mean
from orderflow_model.strict_yaml import read_yaml

_REMEDY = "examples/tpch/mapping.yaml is one that works"
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True, slots=True)
class Text:
    """Text in which columns are put: (literal, column or None) pairs."""

    parts: Sequence[tuple[str, str | None]]


@dataclass(frozen=True, slots=True)
class Integer:
    """A column that holds a number; it must be whole after multiplication (price 12.34 times 100 is 1234 cents)."""

    column: str
    times: int


@dataclass(frozen=True, slots=True)
class Boolean:
    """A column that holds true or false."""

    column: str


@dataclass(frozen=True, slots=True)
class OrderMapping:
    """`head` is an order without its lines, made of `head_columns`; each row gives one line by each of `lines`."""

    head: dict[str, Any]
    lines: Sequence[Any]
    group_by: str | None
    head_columns: frozenset[str]
    columns: frozenset[str]

    def order(self, rows: Sequence[Values]) -> dict[str, Any]:
        """Make the order of these rows; raise RowError when a value is missing, wrong, or differs between rows."""
        order: dict[str, Any] = _fill(self.head, rows[0])
        for row in rows[1:]:
            for column in self.head_columns:
                if row.get(column) != rows[0].get(column):
                    raise RowError(f"the rows of this order differ in column {column}")
        return order | {"lines": [_fill(line, row) for row in rows for line in self.lines]}

    def check_columns(self, present: Iterable[str]) -> None:
        """Refuse a file that lacks a column; raises LoadError naming it."""
        known = list(present)
        for column in sorted(self.columns - set(known)):
            raise LoadError(f"the file has no column {column}{did_you_mean(column, known)}", "Correct the mapping")


def read_mapping(path: Path) -> OrderMapping:
    """Read the file; raises LoadError that says what is wrong in it."""
    try:
        data = read_yaml(path.read_text(encoding="utf-8")).data
    except (OSError, UnicodeDecodeError, InvalidResource) as error:
        raise LoadError(f"{path}: {error}", _REMEDY) from None
    try:
        return _mapping(data)
    except ValueError as error:
        raise LoadError(f"{path}: {error}", _REMEDY) from None


def _mapping(data: Any) -> OrderMapping:
    if not isinstance(data, dict) or not set(data) <= {"groupBy", "order"} or not isinstance(data.get("order"), dict):
        raise ValueError("a mapping has `order` and, if its rows are lines, `groupBy`")
    order, group_by = data["order"], data.get("groupBy")
    if "idempotencyKey" not in order:
        raise ValueError("order.idempotencyKey is missing: without it a second load would place everything again")
    if not isinstance(order.get("lines"), list):
        raise ValueError("order.lines must be a list of what to make of each row")
    columns: set[str] = set()
    if group_by is not None:
        _add(group_by, "groupBy", columns)
    head = {name: _parse(node, f"order.{name}", columns) for name, node in order.items() if name != "lines"}
    head_columns = frozenset(columns)
    lines = _parse(order["lines"], "order.lines", columns)
    return OrderMapping(head, lines, group_by, head_columns, frozenset(columns))


def _add(column: Any, place: str, columns: set[str]) -> str:
    if not isinstance(column, str):
        raise ValueError(f"{place}: {column} is no column's name; put it in quotes if it is meant")
    columns.add(column)
    return column


def _parse(node: Any, place: str, columns: set[str]) -> Any:
    """Replace the leaves that name columns; `columns` collects their names."""
    if isinstance(node, str):
        return _parse_text(node, place, columns)
    if isinstance(node, list):
        return [_parse(item, f"{place}[{i}]", columns) for i, item in enumerate(node)]
    if not isinstance(node, dict):
        return node
    if "integer" in node and set(node) <= {"integer", "times"}:
        return Integer(_add(node["integer"], place, columns), _times(node.get("times", 1), place))
    if set(node) == {"boolean"}:
        return Boolean(_add(node["boolean"], place, columns))
    return {name: _parse(item, f"{place}.{name}", columns) for name, item in node.items()}


def _times(times: Any, place: str) -> int:
    if not isinstance(times, int) or times < 1:
        raise ValueError(f"{place}: times must be a whole number such as 100")
    return times


def _parse_text(text: str, place: str, columns: set[str]) -> str | Text:
    try:
        parsed = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{place}: {error}; write {{{{ for a brace that is meant") from None
    if any(spec or conversion for _, _, spec, conversion in parsed):
        raise ValueError(f"{place}: only {{column}} can be put in, without a format")
    names = {name for _, name, _, _ in parsed if name is not None}
    if "" in names:
        raise ValueError(f"{place}: {{}} names no column")
    columns |= names
    return Text([(literal, name) for literal, name, _, _ in parsed]) if names else "".join(p[0] for p in parsed)


def _fill(node: Any, row: Values) -> Any:
    match node:
        case Text():
            return "".join(part if name is None else f"{part}{_value(row, name)}" for part, name in node.parts)
        case Integer():
            return _integer(row, node)
        case Boolean():
            return _boolean(row, node.column)
        case dict():
            return {name: _fill(item, row) for name, item in node.items()}
        case list():
            return [_fill(item, row) for item in node]
        case _:
            return node


def _value(row: Values, column: str) -> Any:
    value = row.get(column)
    if value is None or value == "":
        raise RowError(f"column {column} is empty")
    if isinstance(value, dict | list | bytes):
        raise RowError(f"column {column} holds no plain value")
    return value


def _integer(row: Values, leaf: Integer) -> int:
    value = _value(row, leaf.column)
    try:
        number = Decimal(str(value)) * leaf.times
        if number.is_finite() and abs(number) < 10**18 and number == int(number):
            return int(number)
    except InvalidOperation:
        pass
    raise RowError(f"column {leaf.column}: {str(value)[:40]!r} times {leaf.times} is not a whole number")


def _boolean(row: Values, column: str) -> bool:
    value = _value(row, column)
    try:
        return _BOOLEANS[str(value).lower()]
    except KeyError:
        raise RowError(f"column {column}: {str(value)[:40]!r} is neither true nor false") from None
