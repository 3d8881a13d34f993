"""Log lines: one JSON object each, whatever is logged."""

import json
import subprocess
import sys

_PROGRAM = """
import logging
from orderflow_runtime import logs
logs.set_up("shop", "order", "info")
logging.getLogger("orderflow").info("a %s\\n line", "long")
logging.getLogger("orderflow").debug("not this")
logging.getLogger("aiokafka").info("nor this")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("orderflow").exception("é")
"""


def test_each_line_is_an_object_that_says_where_it_comes_from() -> None:
    """Level, flow, service, message and exception are there; clients' chatter is not."""
    output = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, check=True).stderr.decode()
    first, second = (json.loads(line) for line in output.splitlines())
    assert (first["level"], first["flow"], first["service"]) == ("info", "shop", "order")
    assert first["message"] == "a long\n line"
    assert second["message"] == "é"
    assert "ZeroDivisionError" in second["exception"]
