"""The walks in ARCHITECTURE.md: each passes few files, and each step names a file and a function that are there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "ARCHITECTURE.md").read_text()
WALKS = re.findall(r"^## (Walk: .*)\n((?:(?!## ).*\n)*)", PAGE, re.MULTILINE)
MOST_FILES = 6


def defined(path: Path) -> set[str]:
    """Give the functions of a module and the methods of its classes, as `Class.method`."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        owner = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for part in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                names.add(owner + part.name)
    return names


def test_both_walks_are_written_down() -> None:
    """The control plane's and the data plane's."""
    assert [title for title, _ in WALKS] == ["Walk: from resource to Deployment", "Walk: from event to event"]


@pytest.mark.parametrize(("title", "text"), WALKS, ids=[title for title, _ in WALKS])
def test_a_walk_passes_few_files_and_its_steps_are_there(title: str, text: str) -> None:
    """A newcomer opens at most six files, in this order, and finds in each the function that is named."""
    below = next(iter(re.findall(r"`(\w+/src/\w+/)`", text)))
    steps = re.findall(r"^(\d)\. `([\w/]+\.py)`: `([\w.]+)`", text, re.MULTILINE)
    assert [int(number) for number, _, _ in steps] == list(range(1, len(steps) + 1))
    assert 2 < len(steps) == len(re.findall(r"^\d\. ", text, re.MULTILINE))
    assert {file for _, file, _ in steps} >= set(re.findall(r"`([\w/]+\.py)`", text))
    assert len({file for _, file, _ in steps}) <= MOST_FILES
    for _, file, function in steps:
        path = ROOT / file if (ROOT / file).exists() else ROOT / below / file
        assert function in defined(path), f"{title}: {function} is not in {path}"
