"""The prose of a file line by line: docstrings and comments of code, the whole of a Markdown page."""

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

_COMMENTS = {".sh": "#", ".yaml": "#", ".toml": "#", ".sql": "--"}
KINDS = {".md", ".py", *_COMMENTS}
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def prose(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Yield each line of prose with its number, counted from 1."""
    if path.suffix == ".md":
        yield from enumerate(text.splitlines(), 1)
    elif path.suffix == ".py":
        yield from _docstrings(text)
        yield from comments(text)
    elif mark := _COMMENTS.get(path.suffix):
        yield from ((at, line) for at, line in enumerate(text.splitlines(), 1) if line.lstrip().startswith(mark))


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield each comment of Python's source with the number of its line."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _docstrings(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Documented) and (text := ast.get_docstring(node, clean=False)):
            yield from enumerate(text.splitlines(), node.body[0].lineno)
