"""Logs, one event a line: JSON for the platform's collector, coloured text on a terminal. `app.py` sets them up once.

SIGUSR1 lets a process tell everything, and again only what it is configured to: it needs no port that others reach, no
file and no restart. In a pod: `kubectl exec POD -- python -c "import os; os.kill(1, 10)"`.
"""

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

from orderflow_runtime.core.work_item import WorkItem
from orderflow_runtime.redaction import redacted_reason

_encode = json.JSONEncoder(ensure_ascii=False).encode
_ABOUT = ("key", "event", "event_id", "trace_id")
_NOISY = ("aiokafka", "uvicorn", "asyncio")
_COLOURS = {"DEBUG": 2, "INFO": 32, "WARNING": 33, "ERROR": 31, "CRITICAL": 31}
"""ANSI's faint, green, yellow and red."""

speaker: ContextVar[str] = ContextVar("speaker", default="")
"""The service whose work this is; what it starts inherits it. Nobody's: the process as a whole."""

logger = logging.getLogger(__name__)


def about(item: WorkItem) -> Mapping[str, Any]:
    """Return what a line about an item says besides its message: `logger.info(…, extra=about(item))`."""
    told = {"key": item.key, "event": item.type, "event_id": item.event_id, "trace_id": item.cause.recorded}
    return {name: value for name, value in told.items() if value is not None}


class JsonFormatter(logging.Formatter):
    """Formats a record with the flow and service it comes from, and what it is about."""

    def __init__(self, flow: str, service: str) -> None:
        super().__init__()
        self._flow, self._service = flow, service

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of JSON."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "flow": self._flow,
            "service": speaker.get() or self._service,
            "logger": record.name,
            "message": record.getMessage(),
            **_told(record),
        }
        if record.exc_info and record.exc_info[1]:
            line["exception"] = _traceback(record.exc_info[1])
        return _encode(line)


class TextFormatter(logging.Formatter):
    """Formats a record for a person at a terminal; says which service speaks where there are several."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, and the traceback below it."""
        time = datetime.fromtimestamp(record.created).strftime("%H:%M:%S.%f")[:-3]
        told = "".join(f" \x1b[2m{name}=\x1b[0m{value}" for name, value in (_told(record) | self._speaker()).items())
        level = f"\x1b[{_COLOURS.get(record.levelname, 0)}m{record.levelname:<8}\x1b[0m"
        line = f"{time} {level}{record.getMessage()}{told}"
        return f"{line}\n{_traceback(record.exc_info[1])}" if record.exc_info and record.exc_info[1] else line

    def _speaker(self) -> dict[str, str]:
        return {"service": speaker.get()} if speaker.get() not in ("", self._service) else {}


def set_up(flow: str, service: str, level: str, output: TextIO | None = None) -> None:
    """Log to standard error from `level` on; clients' own chatter only from warning on.

    `service` is said of lines that no `speaker` is known of.
    """
    # a line tells neither its place in the code nor its thread: finding them out would be half its cost
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(output := output or sys.stderr)
    handler.setFormatter(TextFormatter(service) if output.isatty() else JsonFormatter(flow, service))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))


def write_apart(service: str, file: str) -> None:
    """Append the lines of a service to a file, in place of standard error; raise `OSError` where that cannot be."""
    everyones = logging.getLogger().handlers[0]
    own = logging.FileHandler(file, encoding="utf-8")
    own.setFormatter(everyones.formatter)
    own.addFilter(lambda _: speaker.get() == service)
    everyones.addFilter(lambda _: speaker.get() != service)
    logging.getLogger().addHandler(own)


def switch(level: str) -> None:
    """Tell everything from now on, or if that is so already, only from `level` on."""
    root = logging.getLogger()
    root.setLevel(level.upper() if root.level == logging.DEBUG else logging.DEBUG)
    logger.warning("logging from %s on", logging.getLevelName(root.level).lower())


def _told(record: logging.LogRecord) -> dict[str, Any]:
    return {name: record.__dict__[name] for name in _ABOUT if name in record.__dict__}


def _traceback(error: BaseException) -> str:
    """Return the places and words of an error and its causes; the words are those that may be told."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    before = f"{_traceback(cause)}\nwhich led to\n" if cause is not None else ""
    return f"{before}{''.join(traceback.format_tb(error.__traceback__))}{redacted_reason(error)}"
