"""One JSON object per line of log, with the flow it speaks of."""

import json
import logging
import sys
from datetime import UTC, datetime

_EXTRAS = ("flow", "generation")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one line of JSON."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in _EXTRAS if hasattr(record, name)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def set_up(level: str) -> None:
    """Log to standard error; kopf and the HTTP client only what went wrong."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("kopf", "aiohttp", "kubernetes"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
