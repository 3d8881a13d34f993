"""`orderflow doctor`: what is there is said to be, what is missing is said with how to mend it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from orderflow_cli.exit_codes import ExitCode
from support.flow.cli_process import invoke


def look(state: Path, *options: str, code: int, **env: str) -> dict[str, dict[str, Any]]:
    """Every check by its name."""
    done = invoke("doctor", "--state", str(state), "-o", "json", *options, env=env)
    assert done.returncode == code, done.stdout + done.stderr
    return {one["name"]: one for one in json.loads(done.stdout)["items"]}


def test_a_machine_without_java_still_runs_a_flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is only missed is a warning with what to install; what is there is well."""
    found = look(tmp_path, code=ExitCode.DONE, JAVA_HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path), PATH="/bin")
    assert (found["Java"]["state"], found["Postgres"]["state"]) == ("Warning", "Ok")
    assert "JDK" in found["Java"]["remedy"]
    assert found["flow's database"]["state"] == found["flow's Kafka"]["state"] == "Warning"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    full = look(tmp_path, code=ExitCode.REFUSED)
    assert (full["disk"]["state"], "Make room" in full["disk"]["remedy"]) == ("Failed", True)


def test_a_flow_whose_servers_are_away_is_told_with_what_to_do(tmp_path: Path) -> None:
    """Its database and its Kafka are each said not to answer, by their addresses."""
    at = ["--flow", "x", "--database", "postgresql://u@127.0.0.1:1/x", "--bootstrap", "127.0.0.1:1"]
    found = look(tmp_path, *at, code=ExitCode.REFUSED)
    assert "127.0.0.1:1" in found["flow's database"]["found"]
    assert found["flow's Kafka"]["state"] == "Failed"
    assert found["flow's Kafka"]["remedy"]
    assert "rights in it" not in found


def test_what_is_given_is_looked_at_whatever_is_not(tmp_path: Path) -> None:
    """A database that is named and away is in the way, also where nobody says which Kafka the flow has."""
    found = look(tmp_path, "--database", "postgresql://u@127.0.0.1:1/x", code=ExitCode.REFUSED)
    assert (found["flow's database"]["state"], found["flow's Kafka"]["state"]) == ("Failed", "Warning")


def test_a_cluster_that_is_not_known_is_told(tmp_path: Path) -> None:
    """A kubeconfig that is missing, and one that names a server that is away."""
    none = look(tmp_path, "--cluster", code=ExitCode.REFUSED, KUBECONFIG=str(tmp_path / "none"))
    assert "KUBECONFIG" in none["API server"]["remedy"]
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {}}],
    }
    (file := tmp_path / "kubeconfig").write_text(json.dumps(config))
    away = look(tmp_path, "--cluster", code=ExitCode.REFUSED, KUBECONFIG=str(file))
    assert "does not answer" in away["API server"]["found"]
