"""Where the real Kafka's program comes from: Java on this machine and jars that Maven resolves once."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from orderflow_cli.errors import StartError, ToolMissingError

KAFKA_VERSION = "4.3.1"
"""The newest that Strimzi 1.2 takes."""
_POM = Path(__file__).with_name("kafka-pom.xml")
_OLDEST_JAVA = 17
_OTHER_CACHE = "Set XDG_CACHE_HOME to a folder that you may write, or give --kafka HOST:PORT"


@dataclass(frozen=True)
class KafkaProgram:
    """A Java executable, the folder of jars it runs, and what it is told besides."""

    java: str
    jars: Path
    options: tuple[str, ...] = ()

    @property
    def archive(self) -> Path:
        """Where `kafka_classes.py` keeps what this very Java has loaded of the jars."""
        said = hashlib.sha256(_said_of_version(self.java).encode()).hexdigest()
        return self.jars / f"java-{said[:12]}.jsa"


def find_program(echo: Callable[[str], None], version: str = KAFKA_VERSION) -> KafkaProgram:
    """Return Java and Kafka's jars, fetched when they are not cached; raise `ToolMissingError` or `StartError`."""
    java = find_java()
    jars = cache_directory() / f"kafka-{version}"
    try:
        if not jars.is_dir():
            echo(f"fetching Apache Kafka {version} with Maven, once (45 MB) …")
            _fetch(jars, version)
    except OSError as error:
        raise StartError(f"the cache folder {jars.parent} cannot be used: {error.strerror}", _OTHER_CACHE) from None
    return KafkaProgram(java, jars)


def cache_directory() -> Path:
    """Return the user's cache for this project."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "orderflow"


def find_java() -> str:
    """Return a Java of version 17 or newer, by JAVA_HOME, then PATH; raise `ToolMissingError`."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if java is None:
        raise ToolMissingError("Java is not here", f"Install a JDK of version {_OLDEST_JAVA} or newer")
    version = _java_version(java)
    if version < _OLDEST_JAVA:
        raise ToolMissingError(f"{java} is Java {version}", f"Kafka needs {_OLDEST_JAVA} or newer: set JAVA_HOME")
    return java


def _java_version(java: str) -> int:
    found = re.search(r'version "(\d+)', _said_of_version(java))
    return int(found.group(1)) if found else 0


@cache
def _said_of_version(java: str) -> str:
    command = [java, "-version"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr  # noqa: S603 - Java, and what it is asked


def _fetch(jars: Path, version: str) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise ToolMissingError("Maven (mvn) is not here", "Install Maven, or give --kafka HOST:PORT")
    jars.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jars.parent) as scratch:
        folder = Path(scratch) / "jars"
        _copy_dependencies(maven, folder, version)
        if not jars.is_dir():  # another run may have been faster; its jars are the same
            folder.rename(jars)


def _copy_dependencies(maven: str, folder: Path, version: str) -> None:
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={folder}", f"-Dkafka.version={version}"]
    command = [maven, "-B", "-q", "-f", str(_POM), *goal]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - Maven, and our own file
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()
        first = next((line for line in said if "ERROR" in line), "no message")
        raise StartError(f"Maven could not fetch Kafka: {first}", "Check its settings, or give --kafka HOST:PORT")
