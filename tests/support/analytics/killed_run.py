"""One run of the analytics that dies at a commit: `killed_run.py before|after NUMBER run FLOW.yaml`, counted from 1.

A run begins anew for its marts; the environment keeps count meanwhile.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from orderflow_analytics.__main__ import main
from orderflow_analytics.lake.table import LakeTable
from orderflow_analytics.marts import build

_COUNT = "COMMITS"


def die_at(when: str, number: int) -> None:
    """Let the process be killed before or after it has committed for the n-th time, whatever the table or mart."""

    def counted(commit: Callable[..., None]) -> Any:
        def committed(*args: Any, **kwargs: Any) -> None:
            os.environ[_COUNT] = str(int(os.environ.get(_COUNT, "0")) + 1)
            here = os.environ[_COUNT] == str(number)
            if not (here and when == "before"):
                commit(*args, **kwargs)
            if here:
                os.kill(os.getpid(), signal.SIGKILL)

        return committed

    LakeTable.append = counted(LakeTable.append)  # type: ignore[method-assign]  # what the test is about
    build._publish = counted(build._publish)


if __name__ == "__main__":
    die_at(sys.argv[1], int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
