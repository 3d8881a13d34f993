"""How the long tests are dealt out among runs: ten slices are the whole, and no run does what another has done."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.tools.portion import portion

ROOT = Path(__file__).parents[3]
KILL_POINTS = "tests/integration/faults/test_kill_points.py"


def collect(chaos: str) -> subprocess.CompletedProcess[str]:
    """Ask pytest which kill points a run would do."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", f"--chaos={chaos}", KILL_POINTS]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@given(turns=st.integers(10, 200), of=st.integers(1, 10))
def test_slices_together_are_the_whole(turns: int, of: int) -> None:
    """Every turn and every case is done by exactly one of the slices."""
    slices = [portion(f"slice:{number}/{of}") for number in range(of)]
    assert sorted(turn for part in slices for turn in part.turns(range(turns))) == list(range(turns))
    nodes = [f"{module}.py::test[{case}]" for module in "abc" for case in range(turns)]
    assert sorted(node for part in slices for node in part.cases(nodes)) == sorted(nodes)


@given(turns=st.integers(1, 200), number=st.integers(0, 9))
def test_a_slice_does_about_a_tenth_and_never_nothing(turns: int, number: int) -> None:
    """A run's share differs from a tenth by less than one turn, but is one at least."""
    part = portion(f"slice:{number}/10")
    assert abs(len(part.turns(range(turns))) - max(1, turns / 10)) < 1
    assert 1 <= part.size(turns) <= max(1, turns / 10)


def test_a_tenth_is_the_first_slice_and_whole_is_all() -> None:
    """The words mean what they say."""
    assert portion("tenth").turns(range(50)) == portion("slice:0/10").turns(range(50)) == [0, 10, 20, 30, 40]
    assert portion("whole").turns(range(50)) == list(range(50))


@pytest.mark.parametrize("wish", ["", "most", "slice:10/10", "slice:0/0", "slice:1", "slice:-1/10"])
def test_a_portion_that_is_none_is_refused(wish: str) -> None:
    """What may stand there is said."""
    with pytest.raises(ValueError, match="tenth, whole or slice:K/N"):
        portion(wish)


def test_a_run_is_dealt_its_cases() -> None:
    """Of the kill points a slice does its share and leaves the others out; a whole run does all of them."""
    whole, part = (collect(chaos).stdout for chaos in ("whole", "slice:3/10"))
    chosen = {line for line in part.splitlines() if "::" in line}
    every = {line for line in whole.splitlines() if "::" in line}
    assert chosen < every
    assert abs(len(chosen) - len(every) / 10) < 1


def test_a_run_of_a_wrong_portion_does_not_begin() -> None:
    """pytest ends at once with what is wrong, and without a traceback."""
    done = collect("most")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stderr.startswith("ERROR: --chaos takes tenth, whole or slice:K/N")
