"""Adds entries to lists of a resource's file, and leaves every other line as it is, comments too."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from orderflow_model.findings import InvalidResourceError
from orderflow_model.loading.load import load_flow
from orderflow_model.loading.strict_yaml import read_yaml


class NotWrittenError(Exception):
    """The file is written so that nothing can be added line by line: lists in brackets, say."""


Entries = Mapping[str, Sequence[Mapping[str, Any]]]
"""What is to be added to each list of `spec`."""


def with_entries(text: str, entries: Entries) -> str:
    """Return the text of the flow with more entries; raise `InvalidResourceError` when it would not be sound.

    Lines of their own at the ends of the lists, where the file is written in such; else raise `NotWrittenError`.
    """
    wanted = _wanted(text, entries)
    lines, end = text.splitlines(keepends=True), "\r\n" if "\r\n" in text else "\n"
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    places = {name: _end_of_list(root, name) for name in entries}
    for name, (line, column) in sorted(places.items(), key=lambda found: found[1], reverse=True):
        if line and not lines[line - 1].endswith("\n"):
            lines[line - 1] += end
        lines[line:line] = [f"{' ' * column}{one}{end}" for entry in entries[name] for one in written(entry)]
    added = "".join(lines)
    try:
        is_right = read_yaml(added).data == wanted
    except InvalidResourceError:
        is_right = False
    if not is_right:
        raise NotWrittenError
    return added


def written(entry: Mapping[str, Any]) -> list[str]:
    """Return an entry as lines of YAML, as people write them."""
    lines = [f"{name}: {_inline(value)}" for name, value in entry.items()]
    return [f"- {lines[0]}", *(f"  {line}" for line in lines[1:])]


def _inline(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=math.inf).removesuffix("\n").removesuffix("\n...")


def _wanted(text: str, entries: Entries) -> Any:
    """Return the data of the flow that is to come out; raise `InvalidResourceError` when it is not sound."""
    data = read_yaml(text).data
    for name, added in entries.items():
        data["spec"][name] = [*data["spec"][name], *map(dict, added)]
    load_flow(yaml.safe_dump(data))
    return data


def _end_of_list(root: yaml.Node | None, name: str) -> tuple[int, int]:
    """Return the line behind a list's last entry, from 0, and the column of its dashes; raise `NotWrittenError`."""
    found = _value(_value(root, "spec"), name)
    if not isinstance(found, yaml.SequenceNode) or found.flow_style or not found.value:
        raise NotWrittenError
    return _last_line(found.value[-1]) + 1, found.start_mark.column


def _value(node: yaml.Node | None, name: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for key, value in node.value if key.value == name), None)


def _last_line(node: yaml.Node) -> int:
    """Return the last line of a node's own text: a block ends, for the parser, where the next one begins."""
    if isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    end = node.end_mark
    return end.line - 1 if end.column == 0 and end.line > node.start_mark.line else end.line
