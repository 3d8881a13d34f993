"""OpenLineage's own reader, from Maven: a second opinion on what runs tell."""

import shutil
import subprocess
from pathlib import Path

import pytest

from orderflow_cli.servers.kafka_jars import cache_directory
from support.tools.build_lock import build_lock

_VERSION = "1.54.0"
_READER = Path(__file__).with_name("ReadLineage.java")
_POM = f"""<project><modelVersion>4.0.0</modelVersion><groupId>tests</groupId><artifactId>lineage</artifactId>
<version>1</version><dependencies><dependency><groupId>io.openlineage</groupId><artifactId>openlineage-java</artifactId>
<version>{_VERSION}</version></dependency></dependencies></project>"""


def read_strictly(file: Path) -> tuple[int, int]:
    """Return how many events and columns with an origin it reads in a file; skip where there is no JDK or Maven."""
    if not all(map(shutil.which, ("java", "javac", "mvn"))):
        pytest.skip("no reader of lineage in Java: install a JDK and Maven (mvn)")
    done = subprocess.run(["java", "-cp", f"{_jars()}/*", _READER, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    events, columns = map(int, done.stdout.split())
    return events, columns


def _jars() -> Path:
    folder = cache_directory() / f"openlineage-java-{_VERSION}"
    with build_lock(folder):
        if not folder.is_dir():
            made = folder.with_suffix(".new")
            made.mkdir(parents=True, exist_ok=True)
            (made / "pom.xml").write_text(_POM)
            copy = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=."]
            subprocess.run(copy, cwd=made, check=True)
            made.rename(folder)
    return folder
