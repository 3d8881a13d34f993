"""Files that prose names exist: `make lint` reads docstrings, comments and pages, so that a move takes them along.

A name may leave out the folders before it (`worker.py`), and may stand for several (`0001_*.sql`,
`orderflow_{order,payment}/`). What is quoted behind it after a colon is defined there. A link of a page is read from
the page's own folder. History is not read: CHANGELOG.md, and migrations, which do not change.
"""

import ast
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from tools.check_tree import tracked_files
from tools.prose import KINDS, prose

_HISTORY = re.compile(r"CHANGELOG\.md|.*/migrations/\d+_\w+\.sql")
_OUR_KINDS = re.compile(r"(?<![\w./:@{}*>-])[\w./{},*-]*[\w*}]\.(?:py|sql|md)\b(?![\w(/])")
_QUOTED = re.compile(r"`([\w./{},*-]+)`")
_LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)")
_MODULE = re.compile(r"\borderflow_\w+(?:\.\w+)+\b")
_DEFINITION = re.compile(r"`([\w./]+\.py)`: `((?!\w+\.py`)[\w.]+)`")

_NOT_OURS = {
    "CONFIGURATION.md": "librdkafka's",
    "aiokafka/protocol/transaction.py": "aiokafka's",
    "NNNN_name.sql": "the form of a name",
    "services/src/shop_loyalty/__main__.py": "a reader's service, in an example",
    "services/src/shop_loyalty/migrations/0001_points.sql": "a reader's service, in an example",
    "tests/test_shop_loyalty.py": "a reader's service, in an example",
    "0001_seen.sql": "a reader's service, in an example",
    "services/loyalty.py": "a reader's service, in an example",
}


class Tree:
    """What is there to be named, by paths from the root."""

    def __init__(self, files: list[Path]) -> None:
        self._files = {path.as_posix() for path in files}
        self._folders = {folder.as_posix() for path in files for folder in path.parents} - {"."}
        self._top = {folder for folder in self._folders if "/" not in folder}
        self._modules = {self._module(file) for file in self._files | self._folders if "/src/" in file}

    @staticmethod
    def _module(path: str) -> str:
        return path.partition("/src/")[2].removesuffix(".py").replace("/", ".")

    def absent(self, page: Path, line: str) -> Iterator[str]:
        """Yield what a line of `page` names and is not there."""
        for name in _OUR_KINDS.findall(line):
            if ".." not in name and name not in _NOT_OURS and not self._has(name):
                yield name
        for name in _QUOTED.findall(line):
            if name.partition("/")[0] in self._top and "/" in name and not _OUR_KINDS.fullmatch(name):
                yield from () if self._has(name.rstrip("/")) else (name,)
        for name, definition in _DEFINITION.findall(line):
            yield from () if self._is_defined(name, definition) else (f"{definition} of {name}",)
        for name in _MODULE.findall(line):
            yield from () if self._is_module(name) else (name,)
        if page.suffix == ".md":
            yield from (link for link in _LINK.findall(line) if not (page.parent / link).exists())

    def _has(self, name: str) -> bool:
        return all(
            any(fnmatch(path, one) or fnmatch(path, f"*/{one}") for path in self._files | self._folders)
            for one in _alternatives(name)
        )

    def _is_defined(self, name: str, definition: str) -> bool:
        files = (file for file in self._files if f"/{file}".endswith(f"/{name}"))
        return any(definition in _definitions(Path(file).read_text(encoding="utf-8")) for file in files)

    def _is_module(self, name: str) -> bool:
        """Return whether a dotted name is a module, or something in one that is no folder."""
        owner, _, attribute = name.rpartition(".")
        is_class_of_package = f"{owner}.__init__" in self._modules and attribute[:1].isupper()
        is_of_module = owner in self._modules and f"{owner}.__init__" not in self._modules
        return name in self._modules or is_class_of_package or is_of_module


def _alternatives(name: str) -> Iterator[str]:
    """Yield the names that one with `{a,b}` stands for."""
    braces = re.search(r"\{([^{}]*)\}", name)
    if braces is None:
        yield name
    else:
        for one in braces[1].split(","):
            yield from _alternatives(name[: braces.start()] + one + name[braces.end() :])


def _definitions(source: str) -> set[str]:
    """Return the names of functions and classes, and `Class.method`."""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    top = [node for node in ast.parse(source).body if isinstance(node, kinds)]
    return {node.name for node in top} | {
        f"{node.name}.{part.name}" for node in top for part in node.body if isinstance(part, kinds)
    }


def main() -> int:
    """Print every finding with its place; give the exit code."""
    files = tracked_files()
    tree = Tree(files)
    pages = [path for path in files if not _HISTORY.fullmatch(path.as_posix()) and path.suffix in KINDS]
    findings = [
        f"{path}:{at}: names {name}, which is not there"
        for path in pages
        for at, line in prose(path, path.read_text(encoding="utf-8"))
        for name in tree.absent(path, line)
    ]
    print("\n".join([*findings, f"names: {len(findings)} findings" if findings else "names: ok"]))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
