"""One run of the analytics that dies at a commit: `killed_run.py before|after NUMBER FLOW.yaml`, counted from 1."""

import itertools
import os
import signal
import sys
from typing import Any

from orderflow_analytics.__main__ import main
from orderflow_analytics.lake.table import LakeTable


def die_at(when: str, number: int) -> None:
    """Let the process be killed before or after it has committed for the n-th time, whatever the table."""
    append, count = LakeTable.append, itertools.count(1)

    def counted(*args: Any, **kwargs: Any) -> None:
        here = next(count) == number
        if not (here and when == "before"):
            append(*args, **kwargs)
        if here:
            os.kill(os.getpid(), signal.SIGKILL)

    LakeTable.append = counted  # type: ignore[method-assign]  # what the test is about


if __name__ == "__main__":
    die_at(sys.argv[1], int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
