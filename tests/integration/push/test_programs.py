"""Programs of other languages as services: Go, TypeScript and one for Dapr, with all that may be killed killed."""

import asyncio
import hashlib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from itertools import groupby
from pathlib import Path

import pytest

from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.kafka_jars import cache_directory
from support.flow.fleet import Fleet
from support.runtime.pushed_flow import ROOT, PushedService, flow_of
from support.tools.build_lock import build_lock
from support.tools.portion import Portion

EXAMPLES = ROOT / "examples" / "push"
KILLS = 20
ORDERS = 10_000


def go_program() -> list[str]:
    """Return the command of the example in Go, compiled when it is not cached."""
    if (go := shutil.which("go")) is None:
        pytest.skip("no Go on this machine: examples/push/go is not tried")
    folder = _cache("push-go", EXAMPLES / "go", ("main.go", "go.mod", "go.sum"))
    with build_lock(folder):
        if not (folder / "fraud").exists():
            folder.mkdir(parents=True, exist_ok=True)
            _run([go, "build", "-trimpath", "-o", str(folder / "fraud"), "."], EXAMPLES / "go", "Go's modules")
    return [str(folder / "fraud")]


def node_program() -> list[str]:
    """Return the command of the example in TypeScript, with its packages fetched and compiled when not cached."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("no Node on this machine: examples/push/typescript is not tried")
    files = ("check.ts", "package.json", "package-lock.json", "tsconfig.json")
    folder = _cache("push-typescript", EXAMPLES / "typescript", files)
    with build_lock(folder):
        if not (folder / "dist" / "check.js").exists():
            folder.mkdir(parents=True, exist_ok=True)
            for file in files:
                shutil.copy(EXAMPLES / "typescript" / file, folder)
            _run([npm, "ci", "--no-audit", "--no-fund", "--silent", "--ignore-scripts"], folder, "npm's packages")
            _run([npm, "run", "build", "--silent"], folder, "npm's packages")
    framework = folder / "node_modules" / ".bin" / "functions-framework"
    return [node, str(framework), f"--source={folder}", "--target=check", "--signature-type=cloudevent"]


def dapr_program() -> list[str]:
    """Return the command of the example for Dapr."""
    return [sys.executable, str(EXAMPLES / "dapr" / "app.py")]


def _cache(name: str, source: Path, files: tuple[str, ...]) -> Path:
    digest = hashlib.sha256(b"".join((source / file).read_bytes() for file in files)).hexdigest()
    return cache_directory() / f"{name}-{digest[:16]}"


def _run(command: list[str], folder: Path, what: str) -> None:
    done = subprocess.run(command, cwd=folder, env=dict(os.environ), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"{what} cannot be had: {(done.stderr or done.stdout).strip()[-300:]}")


COMMANDS = {"fraud": go_program, "address": node_program, "stock": dapr_program}


@pytest.fixture(params=list(COMMANDS))
async def pushed(
    request: pytest.FixtureRequest, kafka: Kafka, database: str, flow_name: str, scratch: Path
) -> AsyncIterator[PushedService]:
    """One service of examples/push, running."""
    command = COMMANDS[request.param]()
    (folder := scratch / flow_name).mkdir()
    fleet = Fleet(flow_of(request.param, flow_name), kafka.bootstrap, database, folder)
    await fleet.prepare()
    service = PushedService(fleet, request.param, command)
    try:
        service.start_dispatcher()
        service.start_program()
        await fleet.until_ready(f"{request.param}-0")
        yield service
    finally:
        service.stop()


async def test_every_order_is_checked_once_whoever_is_killed(pushed: PushedService, chaos: Portion) -> None:
    """All are called, those of a key in order, and each has one reply; a call may come again, by its id."""
    turns = list(chaos.turns(range(KILLS)))
    for turn in turns:
        pushed.send(ORDERS // KILLS)
        drawn = random.Random(turn)
        await asyncio.sleep(drawn.uniform(0.05, 0.6))
        if drawn.random() < 0.5:
            pushed.kill_program()
            pushed.start_program()
        else:
            pushed.kill_dispatcher()
            pushed.start_dispatcher()
    sent = {f"e{number:06}" for number in range(len(turns) * ORDERS // KILLS)}
    await pushed.until_done(120)
    handled = pushed.handled
    assert {event_id for _, event_id in handled} == sent
    published = pushed.published()
    assert len(published) == len(sent)
    for _, calls in groupby(sorted(dict.fromkeys(handled), key=lambda one: one[0]), key=lambda one: one[0]):
        ids = [event_id for _, event_id in calls]
        assert ids == sorted(ids)
    letters = await pushed.fleet.fetch(f'SELECT count(*) FROM "{pushed.service}".dead_letters')  # noqa: S608 - our name
    assert letters[0][0] == 0
