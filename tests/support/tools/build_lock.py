"""What is fetched or compiled once for all: runs and workers beside each other wait for the one that is at it."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def build_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of what is made into this folder; the end of the process frees it too."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
