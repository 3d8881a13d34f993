"""What `orderflow run` refuses before it starts anything."""

from pathlib import Path

import pytest

from support.flow.cli_process import FLOW, orderflow


@pytest.mark.parametrize("rate", ["nan", "inf", "0", "-1", "fast"])
def test_a_rate_that_is_none_is_refused(tmp_path: Path, rate: str) -> None:
    """One line names the option and what is wrong with it."""
    done = orderflow("run", str(FLOW), "--rate", rate, cwd=tmp_path)
    assert done.returncode == 2
    assert "--rate" in done.stdout.splitlines()[-1]
    assert "Traceback" not in done.stdout
