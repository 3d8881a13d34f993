"""A bulk redrive from the first click to the last letter, disturbed on its way."""

import re
import time
from collections.abc import Callable

from support.console.sizes import SERVICE, Visitor
from support.console.stand import Stand

_PATIENCE_SECONDS = 200
_AT_REST_SECONDS = 1.5
_HANDLED = f"SELECT count(*) FROM {SERVICE}.dead_letters WHERE state = 'Redriven' AND redrives = 1"  # noqa: S608 - fixed names
_STATES = f"""SELECT json_agg(found)::text FROM
  (SELECT state, redrives, count(*), min(reason) AS reason FROM {SERVICE}.dead_letters GROUP BY 1, 2) AS found"""  # noqa: S608 - as above
_STEPS = f"SELECT count(*) || ' ' || count(DISTINCT key) FROM {SERVICE}.journal WHERE what = 'REDRIVEN'"  # noqa: S608 - as above
_EFFECTS = f"SELECT count(*) || ' ' || count(DISTINCT order_id) FROM {SERVICE}.waiting WHERE order_id LIKE 'letter-%'"  # noqa: S608 - as above


def redrive_all(stand: Stand, letters: int) -> None:
    """Put all letters back, with a pause and the console's death on the way; each is handled once."""
    visitor = Visitor(stand.url)
    job = visitor.post("/jobs/propose", kind="redrive", service=SERVICE)
    assert f"<strong>{letters:,}</strong>" in visitor.get(job)
    visitor.post(f"{job}/go-on")
    _until(lambda: _left(visitor, job) < letters)
    visitor.post(f"{job}/pause")
    _until(lambda: "Paused" in visitor.get(job))
    stood = _left(visitor, job)
    assert 0 < stood < letters
    time.sleep(_AT_REST_SECONDS)
    assert _left(visitor, job) == stood, "a job that stands does nothing"
    visitor.post(f"{job}/go-on")
    _until(lambda: _left(visitor, job) < stood)
    assert _left(visitor, job) > 0, "it was over before the console could be killed"
    stand.restart_console()
    _until(lambda: "Done" in visitor.get(job))
    _until(lambda: stand.eventually(_HANDLED) == letters, lambda: str(stand.eventually(_STATES)))
    assert stand.eventually(_STEPS) == f"{letters} {letters}"
    assert stand.eventually(_EFFECTS) == f"{letters} {letters}"


def _left(visitor: Visitor, job: str) -> int:
    found = re.search(r'data-cell="left"[^>]*>([\d,]+)<', visitor.get(job))
    assert found
    return int(found[1].replace(",", ""))


def _until(holds: Callable[[], bool], told: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"it takes too long: {told()}"
        time.sleep(0.05)
