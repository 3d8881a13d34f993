"""JSON logs, one object a line, for the platform's collector. `app.py` sets it up once."""

import json
import logging
import sys
from datetime import UTC, datetime

_encode = json.JSONEncoder(ensure_ascii=False).encode


class JsonFormatter(logging.Formatter):
    """Formats a record with the flow and service it comes from."""

    def __init__(self, flow: str, service: str) -> None:
        super().__init__()
        self._fixed = {"flow": flow, "service": service}

    def format(self, record: logging.LogRecord) -> str:
        """Give one line of JSON."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            **self._fixed,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encode(line)


def set_up(flow: str, service: str, level: str) -> None:
    """Log to standard error from `level` on; clients' own chatter only from warning on."""
    # a line tells neither its place in the code nor its thread: finding them out would be half its cost
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(flow, service))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("aiokafka", "uvicorn", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
