"""Failures of a run in several workers are told while it goes on."""

import os
import subprocess
import sys
from pathlib import Path

SUPPORT = Path(__file__).parents[2]
TESTS = """
import time
from pathlib import Path

import pytest


def test_wrong():
    assert "what was found" == "what was expected"


@pytest.fixture
def unmade():
    raise RuntimeError("the fixture is not there")


def test_without_its_fixture(unmade):
    pass


def test_long():
    told, deadline = Path(__file__).with_name("told"), time.monotonic() + 60
    while not told.exists():
        assert time.monotonic() < deadline, "nobody was told meanwhile"
        time.sleep(0.05)
"""


TOLD = (
    "FAILED test_some.py::test_wrong (call)",
    "'what was found' == 'what was expected'",
    "FAILED test_some.py::test_without_its_fixture (setup)",
    "RuntimeError: the fixture is not there",
)


def test_a_failure_is_told_while_other_workers_go_on(tmp_path: Path) -> None:
    """Its name and why, also of a fixture, by a pipe as in CI: a test that ends only after that does end well."""
    (tmp_path / "test_some.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-psupport.tools.failures", "-pno:cacheprovider", "-q", "-n2"]
    environment = {**os.environ, "PYTHONPATH": str(SUPPORT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        said = ""
        while not all(words in said for words in TOLD):
            line = run.stdout.readline()
            assert line, f"it ended before it told all: {said}"
            said += line
        (tmp_path / "told").touch()
        assert "1 failed, 1 passed, 1 error" in run.stdout.read()
