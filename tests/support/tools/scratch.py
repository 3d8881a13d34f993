"""A temporary folder that is gone after the session, even when the session is killed."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# It waits for its end of the pipe to close, which the kernel does however pytest ends, then removes the
# folder until it is gone: servers that are dying may still write. Its own session keeps it clear of Ctrl-C.
_JANITOR = 'cat >/dev/null; until rm -rf "$0" 2>/dev/null && [ ! -e "$0" ]; do sleep 0.2; done'


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """A new folder under the system's temporary one."""
    folder = Path(tempfile.mkdtemp(prefix="orderflow-test-"))
    command = ["sh", "-c", _JANITOR, str(folder)]
    janitor = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        janitor.communicate()
