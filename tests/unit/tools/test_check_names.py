"""`tools.check_names`: what docstrings, comments and pages name is there."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with a module, a page and a migration, as git knows it."""
    package = tmp_path / "runtime" / "src" / "orderflow_runtime"
    (package / "postgres" / "migrations").mkdir(parents=True)
    (package / "__init__.py").write_text('"""Why."""\n')
    (package / "worker.py").write_text(
        '"""Why. `postgres/migrations/` and `0001_*.sql` are there."""\nclass Worker:\n    def run(self): ...\n'
    )
    (package / "postgres" / "migrations" / "0001_first.sql").write_text("-- by gone.py\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("[How](docs/how.md), `worker.py`: `Worker.run`, `orderflow_runtime.worker`\n")
    (tmp_path / "docs" / "how.md").write_text("[Back](../README.md#why), [the web](https://example.org/a.md)\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def check(tree: Path) -> tuple[int, list[str]]:
    """Run the check there; return its exit code and its findings."""
    command = [sys.executable, "-m", "tools.check_names"]
    run = subprocess.run(command, cwd=tree, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, capture_output=True)
    assert not run.stderr
    return run.returncode, run.stdout.decode().splitlines()[:-1]


def test_names_that_are_there_are_no_finding(tree: Path) -> None:
    """A tail of a path, a pattern, a folder, a module and a link pass; what a migration says is history."""
    assert check(tree) == (0, [])


def test_a_name_of_nothing_is_told_with_its_place(tree: Path) -> None:
    """Each finding names file, line and what is not there, in code and in pages."""
    worker = tree / "runtime" / "src" / "orderflow_runtime" / "worker.py"
    worker.write_text(
        '"""Why. `gone.py` calls it."""\n'
        "# as in postgres/0002_*.sql\n"
        "# as `runtime/gone/` has it\n"
        "# see orderflow_runtime.gone.Worker\n"
    )
    (tree / "README.md").write_text("`{worker,gone}.py`\n[How](how.md)\n`worker.py`: `Worker.walk`\n")
    code, told = check(tree)
    assert code == 1
    assert set(told) == {
        "README.md:1: names {worker,gone}.py, which is not there",
        "README.md:2: names how.md, which is not there",
        "README.md:3: names Worker.walk of worker.py, which is not there",
        "runtime/src/orderflow_runtime/worker.py:1: names gone.py, which is not there",
        "runtime/src/orderflow_runtime/worker.py:2: names postgres/0002_*.sql, which is not there",
        "runtime/src/orderflow_runtime/worker.py:3: names runtime/gone/, which is not there",
        "runtime/src/orderflow_runtime/worker.py:4: names orderflow_runtime.gone.Worker, which is not there",
    }
