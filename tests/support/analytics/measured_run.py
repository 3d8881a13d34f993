"""One run of the analytics, `measured_run.py run FLOW.yaml`, whose last line is how many KiB it held at most.

A run begins anew for its marts; the environment keeps what it held before.
"""

import os
import re
import sys
from pathlib import Path
from typing import Any

from orderflow_analytics.__main__ import main

_HELD = "HELD"


def held() -> int:
    """Return how many KiB this process held at most, before it began anew too."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+([0-9]+) kB", status)
    return max(int(found[1]) if found else 0, int(os.environ.get(_HELD, "0")))


def _noting(begin_anew: Any) -> Any:
    def noted(*given: Any) -> None:
        os.environ[_HELD] = str(held())
        begin_anew(*given)

    return noted


if __name__ == "__main__":
    os.execv = _noting(os.execv)
    code = main(sys.argv[1:])
    print(held())
    sys.exit(code)
