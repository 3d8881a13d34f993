"""`tools.check_dialect`: how code speaks, as far as a machine can tell."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOUND = '''\
"""A module."""

_WAIT_SECONDS, MAX_ORDER_BYTES, MOST = 0.5, 64 * 1024, 500
BURNS = ("WAIT", 1)


def read(path: str) -> int:
    """Return its number; raise `ValueError` when it has none."""
    return int(path)  # noqa: S101 - it is a number


def wait() -> None:
    """Give the others their turn."""


class Worker:
    """A class is a noun."""

    @property
    def lag(self) -> int:
        """How far it is behind."""
        return 0  # type: ignore[return-value]  # as it is
'''
ODD = '''\
"""A module."""

FIRST_WAIT, LONGEST_WAIT_SECONDS = 0.5, 2.0
MAX_ORDER = 64 * 1024


def number(path: str) -> int:
    """The number in a file."""
    return int(path)  # noqa: S101


def numbers(path: str) -> list[int]:
    """Give the numbers in a file."""
    return [int(path)]  # type: ignore[return-value]


def one(path: str) -> int:
    """Return one number; raises ValueError without."""
    return int(path)


def is_one(path: str) -> bool:
    """Tell whether it is one."""
    return path == "1"
'''


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree that git knows."""
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def check(tree: Path, name: str, source: str) -> tuple[int, list[str]]:
    """Run the check over one file; return its exit code and the places of its findings."""
    path = tree / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(source)
    command = [sys.executable, "-m", "tools.check_dialect"]
    run = subprocess.run(command, cwd=tree, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, capture_output=True)
    assert not run.stderr
    return run.returncode, [line.split(": ")[0] for line in run.stdout.decode().splitlines()[:-1]]


def test_code_that_speaks_so_is_no_finding(tree: Path) -> None:
    """Verbs, raise in one form, reasons, units; properties, classes and actors may speak otherwise."""
    assert check(tree, "sound.py", SOUND) == (0, [])


def test_each_other_way_is_told_with_its_place(tree: Path) -> None:
    """Both times and sizes without unit, ignores without reason, nouns, gifts and raises."""
    odd = [f"odd.py:{line}" for line in (9, 14, 3, 4, 8, 13, 18, 23)]
    code, told = check(tree, "odd.py", ODD)
    assert (code, sorted(told)) == (1, sorted(odd))


def test_tests_owe_reasons_alone(tree: Path) -> None:
    """A test's docstrings and constants are its own, what it silences is everybody's."""
    assert check(tree, "tests/odd.py", ODD) == (1, ["tests/odd.py:9", "tests/odd.py:14"])
