"""How commands that read answer: a table for people, JSON or YAML for programs, always of the same facts."""

import dataclasses
import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

import click
import yaml
from pydantic.alias_generators import to_camel
from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orderflow_cli.terminal import printable
from orderflow_console.queries.paging import Page

TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])
"""The type of options that take a time, UTC."""
_CELL_CHARACTERS = 300
C = TypeVar("C", bound=Callable[..., Any])


class Form(StrEnum):
    """What `-o` takes."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def output_option(command: C) -> C:
    """Add `-o`, handed to the command as `form`."""
    option = click.option(
        "-o",
        "--output",
        "form",
        type=click.Choice([form.value for form in Form]),
        callback=lambda context, option, value: Form(value),
        default=Form.TABLE.value,
        show_default=True,
        help="As what to print.",
    )
    return option(command)


def document(item: Any) -> Any:
    """Return a dataclass as plain data, its names as in the resource: `beginsAt`, not `begins_at`."""
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        return {to_camel(one.name): document(getattr(item, one.name)) for one in dataclasses.fields(item)}
    if isinstance(item, Mapping):
        return {name: document(value) for name, value in item.items()}
    if isinstance(item, tuple | list):
        return [document(one) for one in item]
    return to_jsonable_python(item)


def show_document(item: Any, form: Form) -> None:
    """Print data as JSON, or as YAML."""
    data = document(item)
    if form is Form.YAML:
        click.echo(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), nl=False)
    else:
        click.echo(json.dumps(data, ensure_ascii=False, indent=2))


def show_list(items: Sequence[Any], columns: Sequence[str], form: Form, page: Page[Any] | None = None) -> None:
    """Print some columns of dataclasses as a table, or all of them as a document, with where the list goes on."""
    if form is not Form.TABLE:
        onward = {} if page is None else {"next": page.next, "lookedBackTo": page.looked_back_to}
        show_document({"items": items, **onward}, form)
        return
    show_table(columns, ([cell(getattr(item, name)) for name in columns] for item in items))
    if page is not None and page.next is not None:
        show_onward(page)


def show_onward(page: Page[Any]) -> None:
    """Say, beside the answer, that there is more and how to get it."""
    looked = f"looked back to {cell(page.looked_back_to)}; " if page.looked_back_to else ""
    click.echo(f"{looked}there may be more: --after {page.next}", err=True)


def show_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table in a terminal; elsewhere a line each, its fields apart by tabs."""
    console = Console(markup=False)
    if not console.is_terminal:
        for row in rows:
            click.echo("\t".join(row))
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, title in enumerate(titles):
        table.add_column(title.replace("_", " "), no_wrap=number == 0, overflow="fold")  # the first is what gets copied
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def cell(value: Any) -> str:
    """Return a value as a cell: times to the second, what is not there as nothing, text without control characters."""
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat(" ", "seconds").replace("+00:00", "Z")
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, tuple | list):
        return " ".join(map(cell, value))
    if isinstance(value, dict):
        value = json.dumps(value, ensure_ascii=False)
    return printable(str(value), _CELL_CHARACTERS)
