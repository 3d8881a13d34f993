"""`tools/kind` where no cluster can be had: one plain line, and an exit code by which .ci/run knows."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
UNAVAILABLE = 69
_TOOLS = ("bash", "dirname", "env", "mkdir", "sed", "timeout")


def kind(folder: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run tools/kind on a machine that has a shell, and no Docker."""
    for tool in _TOOLS:
        (folder / tool).symlink_to(Path("/usr/bin") / tool)
    env = {"PATH": str(folder), "ORDERFLOW_KIND_KIT": str(folder / "no-kit"), "KIND_CLUSTER": "never"} | environment
    command = [ROOT / "tools" / "kind", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_without_docker_it_says_what_to_install(tmp_path: Path) -> None:
    """The line names what is lacking and how to get it."""
    done = kind(tmp_path, "up")
    assert done.returncode == UNAVAILABLE
    assert done.stderr.splitlines() == [
        "kind: no Docker daemon that can pull images, and no kit. On Debian: apt-get install docker.io"
    ]


@pytest.mark.parametrize(
    ("provider", "words"), [("kit", "there is no kit at"), ("registry", "docker is not installed"), ("x", "may be")]
)
def test_a_provider_that_is_not_there_is_named(tmp_path: Path, provider: str, words: str) -> None:
    """Who decides by hand is told when that cannot be."""
    done = kind(tmp_path, "up", KIND_NODE_PROVIDER=provider)
    assert done.returncode == UNAVAILABLE
    assert words in done.stderr


def test_down_has_nothing_to_do_without_kind(tmp_path: Path) -> None:
    """Cleaning up after a run that never had a cluster is no error."""
    assert kind(tmp_path, "down").returncode == 0


def test_a_word_it_does_not_know_prints_those_it_knows(tmp_path: Path) -> None:
    """The usage is the head of the script."""
    done = kind(tmp_path, "destroy")
    assert done.returncode == 64
    assert all(word in done.stderr for word in ("up", "load", "run", "bundle", "down"))
    assert os.access(ROOT / "tools" / "kind", os.X_OK)
