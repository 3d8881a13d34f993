"""`orderflow kill` in a folder where several flows run."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orderflow_cli.servers.child_process import record
from support.flow.cli_process import invoke

Sleepers = dict[tuple[str, str], subprocess.Popen[bytes]]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Sleepers]:
    """Two flows with services and servers of the same names, by flow and name."""
    found = {}
    for flow in ("shop", "other"):
        for name, file in (("payment", "pids/payment"), ("kafka", "kafka/kafka.pid")):
            process = subprocess.Popen(["sleep", "60"])
            path = tmp_path / flow / file
            path.parent.mkdir(parents=True)
            record(process.pid, path)
            found[flow, name] = process
    yield found
    for process in found.values():
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", ["payment", "kafka"])
def test_a_service_of_one_flow_is_killed_and_no_others(tmp_path: Path, running: Sleepers, name: str) -> None:
    """The flow that is named loses it; where none is named, none does."""
    asked = invoke("kill", name, "--state", str(tmp_path))
    assert asked.returncode != 0
    assert "--flow" in asked.stderr
    assert all(process.poll() is None for process in running.values())
    done = invoke("kill", name, "--flow", "other", "--state", str(tmp_path))
    assert done.returncode == 0, done.stderr
    running["other", name].wait(5)
    assert [key for key, process in running.items() if process.poll() is not None] == [("other", name)]
