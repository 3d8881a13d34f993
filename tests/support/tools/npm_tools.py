"""Files of npm packages that tests/tools/NAME/package-lock.json pins by hashes; nothing of them is run."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from orderflow_cli.servers.kafka_jars import cache_directory
from support.tools.build_lock import build_lock
from support.tools.python_tools import TOOLS


def npm_file(name: str, path: str) -> Path:
    """A file out of those packages, by its path within node_modules; fetched when they are not cached."""
    lock = TOOLS / name / "package-lock.json"
    folder = cache_directory() / f"{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    with build_lock(folder):
        if not (folder / "complete").exists():
            _fetch(name, folder)
    return folder / "node_modules" / path


def _fetch(name: str, folder: Path) -> None:
    if (npm := shutil.which("npm")) is None:
        pytest.skip(f"no {name}: npm is not on this machine")
    shutil.copytree(TOOLS / name, folder, dirs_exist_ok=True)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no {name}: its packages cannot be fetched: {done.stderr.strip()[-300:]}")
    (folder / "complete").touch()
