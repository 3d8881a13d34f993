"""A server that ends by itself is started again, also when what keeps it from starting lasts for a while."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from orderflow_cli.errors import StartError
from orderflow_cli.local import stack
from orderflow_cli.local.state import open_state
from orderflow_cli.servers import child_process


async def _eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - a process and its files tell nobody
            await asyncio.sleep(0.05)


async def test_a_server_comes_back_once_its_files_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its log cannot be opened each attempt is told of; the first one after that succeeds."""
    monkeypatch.setenv("PATH", str(tmp_path))  # no Java: the mock
    monkeypatch.delenv("JAVA_HOME", raising=False)
    told: list[str] = []
    with open_state(tmp_path, "shop") as state:
        log, pid_file = state.folder("kafka") / "kafka.log", state.folder("kafka") / "kafka.pid"
        async with stack.kafka_broker(None, state, told.append):
            first = child_process.alive(pid_file)
            assert first is not None
            log.unlink()
            log.mkdir()
            child_process.kill_tree(first)
            await _eventually(lambda: sum(f"did not start: {log}: Is a directory" in line for line in told) >= 3)
            log.rmdir()
            await _eventually(lambda: child_process.alive(pid_file) not in (None, first))
    waits = [float(line.split()[-2]) for line in told if "starting it again in" in line]
    assert waits[:3] == [0.4, 0.8, 1.6]


async def test_a_server_that_cannot_be_started_at_all_is_told_with_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command ends with the file that is wrong, and leaves nothing running."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with open_state(tmp_path, "shop") as state:
        log = state.folder("kafka") / "kafka.log"
        log.mkdir()
        with pytest.raises(StartError, match=f"cannot be started: {log}: Is a directory"):
            await _enter(stack.kafka_broker(None, state, lambda _: None))


async def _enter(context: AbstractAsyncContextManager[object]) -> None:
    async with context:
        pass
