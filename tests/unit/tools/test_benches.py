"""The benches run once in a while: that the product still has what they use is looked up at every change."""

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench"
_DRAWN = ("drawing", "picture")
"""What needs matplotlib, which only `make picture` installs."""


def test_benches_find_what_they_use() -> None:
    """All their modules can be imported, as `make bench` and `make bench-operator` do it."""
    modules = [file.stem for file in sorted(BENCH.glob("*.py")) if file.stem not in _DRAWN]
    program = f"import sys; sys.path[:0] = {[str(BENCH), str(BENCH.parent)]!r}; import {', '.join(modules)}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
