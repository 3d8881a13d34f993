"""Where Kafka's jars are kept: a cache folder that cannot be used is told of in one line, and Java is asked once."""

from pathlib import Path

import pytest

from orderflow_cli.errors import StartError
from orderflow_cli.servers.kafka_classes import with_classes
from orderflow_cli.servers.kafka_jars import KafkaProgram, find_program


@pytest.fixture(autouse=True)
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Java of the right version and a Maven that fetches nothing."""
    for name, script in (("java", "echo 'openjdk version \"21.0.1\"' >&2"), ("mvn", "exit 0")):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


@pytest.mark.parametrize("home", ["home", "home/below"])
def test_a_cache_folder_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    """The line says which folder, why, and two ways out."""
    (tmp_path / "home").write_text("a file")
    monkeypatch.setenv("HOME", str(tmp_path / home))
    with pytest.raises(StartError, match=rf"{home}/.cache/orderflow cannot be used: .*XDG_CACHE_HOME.*--kafka"):
        find_program(lambda _: None)


def test_a_java_that_archives_no_classes_is_asked_once_and_goes_without(tmp_path: Path) -> None:
    """A broker that does not start for it leaves the program as it was, and nothing but the note of it."""
    jars, said = tmp_path / "jars", list[str]()
    jars.mkdir()
    program = KafkaProgram(str(tmp_path / "java"), jars)
    (tmp_path / "java").write_text("#!/bin/sh\nexit 1\n")
    assert [with_classes(program, said.append) for _ in range(2)] == [program, program]
    assert len(said) == 1
    assert [(file, file.stat().st_size) for file in jars.iterdir()] == [(program.archive, 0)]
