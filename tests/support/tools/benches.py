"""The benches' modules, and whether an environment has what they use."""

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench"
OF_THE_LAKE = ("analytics_events", "bench_analytics")
"""What needs the lake's packages, which only `make install-analytics` installs."""
OF_PICTURES = ("drawing", "picture")
"""What needs matplotlib, which only `make picture` installs."""


def import_modules(modules: list[str]) -> str:
    """Import them in a process of their own, as `make bench` and its like do; return what was wrong, or nothing."""
    program = f"import sys; sys.path[:0] = {[str(BENCH), str(BENCH.parent)]!r}; import {', '.join(modules)}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    return "" if done.returncode == 0 else done.stderr or "ended without a word"
