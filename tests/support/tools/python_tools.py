"""Programs of Python that tests run in an environment of their own: their packages would not go with the project's."""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from orderflow_cli.servers.kafka_jars import cache_directory
from support.tools.build_lock import build_lock

TOOLS = Path(__file__).parents[2] / "tools"
_UV = TOOLS.parents[1] / ".venv" / "bin" / "uv"  # also for tests that run in another environment


def python_program(name: str) -> Path:
    """The program that tests/tools/NAME/requirements.lock pins by hashes; installed when it is not cached."""
    lock = TOOLS / name / "requirements.lock"
    key = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = cache_directory() / f"{name}-{key}"
    with build_lock(folder):
        if not (folder / "complete").exists():
            _install(name, lock, folder)
    return folder / "bin" / name


def packaged_file(name: str, pattern: str) -> Path:
    """A file out of those packages, by its path within them; installed when they are not cached."""
    return next(python_program(name).parents[1].glob(f"lib/python*/site-packages/{pattern}"))


def _install(name: str, lock: Path, folder: Path) -> None:
    print(f"installing {name} in an environment of its own, once …", file=sys.__stderr__, flush=True)
    _run(name, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
    # the address of an index stands in no file of ours: it is the machine's own
    _run(name, "pip", "sync", "--quiet", "--require-hashes", "--python", str(folder / "bin/python"), str(lock))
    (folder / "complete").touch()


def _run(name: str, *arguments: str) -> None:
    done = subprocess.run([_UV, *arguments], cwd=tempfile.gettempdir(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no {name}: its packages cannot be installed: {done.stderr.strip()[-300:]}")
