"""`.ci/run` with stand-ins for all that it calls: how it ends."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_QUIET = ("git", "java", "mvn", "promtool", "chromium", "pgbouncer", "apt-get", "docker")
_MAKE = """#!/bin/sh
case $1 in install) mkdir -p .venv/bin; cp /bin/true .venv/bin/python ;; test) exec sleep 60 ;; esac
"""
_KIND = """#!/bin/sh
echo "kind $1"; [ "$1" != up ] || exec sleep 60
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with the script, in which tests and cluster take a minute."""
    stubs = {"bin/make": _MAKE, "tools/kind": _KIND, "tools/find-python": "#!/bin/sh\n"}
    for name, text in (stubs | {f"bin/{one}": "#!/bin/sh\n" for one in _QUIET}).items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci")
    return tmp_path


def test_ctrl_c_ends_the_whole_run_while_the_cluster_is_made(tree: Path) -> None:
    """At once, and nothing of it runs on."""
    env = os.environ | {"PATH": f"{tree / 'bin'}:{os.environ['PATH']}"}
    command = ["env", "--default-signal=INT", "bash", ".ci/run"]
    with (tree / "log").open("wb") as log:
        run = subprocess.Popen(command, cwd=tree, env=env, stdout=log, stderr=log, process_group=0)
        try:
            began = time.monotonic()
            while "kind up" not in (tree / "log").read_text() and time.monotonic() - began < 20:
                time.sleep(0.05)
            os.killpg(run.pid, signal.SIGINT)
            assert run.wait(15) != 0, (tree / "log").read_text()
        finally:
            run.kill()
    assert "left over, ended" in (tree / "log").read_text(), "the tests that ran beside it"
