"""Rules of this tree that no other linter knows. `make lint` runs it over all files that git tracks or would track."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

MOST_LINES_A_FILE = 500
MOST_LINES_A_FUNCTION = 50
_BINARY = {".png", ".jpg", ".gif", ".ico", ".parquet", ".gz"}
_HERE = Path(__file__)

_FORBIDDEN = {
    "the address of a package registry": re.compile(
        r"(pypi|files\.pythonhosted|registry\.npmjs|repo1?\.maven|proxy\.golang|pkg\.jfrog)\.(org|com|apache\.org|io)\b"
    ),
    # /opt/kafka/bin is in the public image of Kafka
    "an absolute path of one machine": re.compile(
        r"(?<![\w.$}/:*-])/(home|root|work|Users|mnt|opt(?!/kafka/bin/))/[\w.]"
    ),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}


def main() -> int:
    """Print every finding with its place; give the exit code."""
    files = tracked_files()
    findings = [*(finding for path in files for finding in _check(path)), *_unexplained(files), *_not_locked()]
    for finding in findings:
        print(finding)
    print(f"tree: {len(findings)} findings" if findings else "tree: ok")
    return 1 if findings else 0


def tracked_files() -> list[Path]:
    """Return the files that git tracks or would track, relative to the current folder, in order."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [path for name in sorted(set(listed.split("\0"))) if name and (path := Path(name)).is_file()]


def _unexplained(files: list[Path]) -> Iterator[str]:
    """Name the folders at the top that say nowhere what lives there and what may not."""
    for folder in sorted({path.parts[0] for path in files if len(path.parts) > 1}):
        if not folder.startswith(".") and Path(folder, "README.md") not in files:
            yield f"{folder}/: has no README.md that says what lives there and what may not"


def _not_locked() -> Iterator[str]:
    """Name what pyproject.toml wants and requirements.lock lacks: it would be missing from every new environment."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    locked = {_package(line) for line in Path("requirements.lock").read_text(encoding="utf-8").splitlines()}
    for requirement in wanted:
        if _package(requirement) not in locked:
            yield f"pyproject.toml: {requirement} is not in requirements.lock; run make lock"


def _package(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement, maxsplit=1)[0]).lower()


def _check(path: Path) -> Iterator[str]:
    if path.as_posix() == "operator/__init__.py":
        yield f"{path}: shadows Python's own module `operator`"
    if path.parts[0] == "tests" and path.name == "__init__.py" and not path.with_name("__main__.py").exists():
        yield f"{path}: tests are no package (pytest runs with --import-mode=importlib)"
    if path.suffix in _BINARY or path.samefile(_HERE):
        return
    text = path.read_text(encoding="utf-8")
    yield from _forbidden(path, text)
    if path.suffix == ".py":
        yield from _too_long(path, text)


def _forbidden(path: Path, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        for what, pattern in _FORBIDDEN.items():
            if pattern.search(line):
                yield f"{path}:{number}: {what}"


def _too_long(path: Path, text: str) -> Iterator[str]:
    lines = text.count("\n")
    if lines > MOST_LINES_A_FILE:
        yield f"{path}: {lines} lines; split it, at most {MOST_LINES_A_FILE}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MOST_LINES_A_FUNCTION:
                yield f"{path}:{node.lineno}: {node.name} has {length} lines; at most {MOST_LINES_A_FUNCTION}"


if __name__ == "__main__":
    sys.exit(main())
