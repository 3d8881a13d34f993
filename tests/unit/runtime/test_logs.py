"""Log lines: one JSON object each, whatever is logged; text for people; all of it, or less, while the process runs."""

import json
import os
import pty
import subprocess
import sys

from support.runtime.running import Bench
from support.runtime.sample_service import Put

_PROGRAM = """
import logging
from orderflow_runtime.observability import logs
logs.set_up("shop", "order", "info")
logging.getLogger("orderflow").info("a %s\\n line", "long", extra={"key": "o-1", "event": "PUT"})
logging.getLogger("orderflow").debug("not this")
logging.getLogger("aiokafka").info("nor this")
try:
    try:
        from orderflow_shop.events import Customer
        Customer.model_validate({"id": "c1", "email": "ann at example", "name": "Ann"})
    except ValueError as error:
        raise RuntimeError("no customer") from error
except RuntimeError:
    logging.getLogger("orderflow").exception("é")
"""
_SWITCHED = """
import logging, os, signal
from orderflow_runtime.observability import logs
logs.set_up("shop", "order", "info")
signal.signal(signal.SIGUSR1, lambda *_: logs.switch("info"))
for turn in range(3):
    logging.getLogger("orderflow").debug("turn %d", turn)
    os.kill(os.getpid(), signal.SIGUSR1)
"""


def run(program: str) -> list[dict[str, str]]:
    """The lines of a program."""
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stderr.decode()
    return [json.loads(line) for line in output.splitlines()]


def test_each_line_is_an_object_that_says_where_it_comes_from_and_what_it_is_about() -> None:
    """Level, flow, service, message, key and exception are there; clients' chatter is not."""
    first, second = run(_PROGRAM)
    assert (first["level"], first["flow"], first["service"]) == ("info", "shop", "order")
    assert (first["message"], first["key"], first["event"]) == ("a long\n line", "o-1", "PUT")
    assert second["message"] == "é"
    assert "key" not in second


def test_an_exception_tells_places_and_not_what_a_model_refused() -> None:
    """The traceback is there with its cause; the input that was refused is not."""
    _, second = run(_PROGRAM)
    assert second["exception"].endswith("RuntimeError: no customer")
    assert "which led to" in second["exception"]
    assert 'File "<string>", line' in second["exception"]
    assert "/email: " in second["exception"]
    assert "ann at example" not in second["exception"]


def test_a_signal_lets_a_process_tell_everything_and_less_again() -> None:
    """The level goes to debug and back, and each change is a line of its own."""
    messages = [line["message"] for line in run(_SWITCHED)]
    assert messages == ["logging from debug on", "turn 1", "logging from info on", "logging from debug on"]


def test_a_terminal_gets_coloured_text() -> None:
    """Time, level, message and what it is about, for a person."""
    program = _PROGRAM.partition("try:")[0]
    mine, theirs = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", program], stderr=theirs, check=True)
        text = os.read(mine, 4096).decode()
    finally:
        os.close(mine)
        os.close(theirs)
    assert "\x1b[32mINFO" in text
    assert "a long" in text
    assert "key=\x1b[0mo-1" in text


async def test_only_what_does_not_go_straight_has_lines(caplog) -> None:
    """Failed attempts, late success and death, each with key, event and id; an event that goes straight has none."""
    bench = Bench()
    bench.script.refuse = {("late", 1): 2, ("dead", 1): 99}
    async with bench.running():
        with caplog.at_level("INFO"):
            for thing in ("well", "late", "dead"):
                bench.send(Put(thing=thing, n=1), event_id=f"id-{thing}")
                await bench.until(lambda thing=thing: bench.letters() or bench.effects_of(thing), "an end")
    lines = [(r.key, r.event, r.event_id, r.message) for r in caplog.records if hasattr(r, "key")]
    assert {key for key, *_ in lines} == {"late", "dead"}
    assert {(event, event_id) for _, event, event_id, _ in lines} == {("PUT", "id-late"), ("PUT", "id-dead")}
    told = [message for key, _, _, message in lines if key == "late"]
    assert told[0].startswith("attempt 1 failed, the next in ")
    assert told[-1] == "handled at attempt 2"
    assert sum("to the dead letters after 4 attempts: Refused: dead 1" in message for _, _, _, message in lines) == 1
