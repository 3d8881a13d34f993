"""Who the operator is: by a kubeconfig, or by the account of its pod."""

import json
import sys
from pathlib import Path
from typing import Any

import kopf
import pytest

from orderflow_operator.kubernetes.login import login


@pytest.fixture(autouse=True)
def _outside_of_pods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's own clusters counts."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def _kubeconfig(file: Path, users: dict[str, dict[str, Any]]) -> str:
    """Write a kubeconfig with a cluster and a context for each user, the last being current."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": list(users)[-1],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in users],
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.example:6443"}} for name in users],
        "users": [{"name": name, "user": user} for name, user in users.items()],
    }
    file.write_text(json.dumps(config))
    return str(file)


def test_a_kubeconfig_names_cluster_and_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current context counts."""
    users = {name: {"token": f"token-{name}"} for name in "ab"}
    monkeypatch.setenv("KUBECONFIG", _kubeconfig(tmp_path / "config", users))
    found = login(kopf.OperatorSettings())
    assert found.server == "https://b.example:6443"
    assert found.as_http_headers() == {"Authorization": "Bearer token-b"}


def test_a_program_may_give_the_token_and_is_asked_anew_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clouds' kubeconfigs name such a program; a token that has expired is replaced by its next answer."""
    version, count = "client.authentication.k8s.io/v1", tmp_path / "count"
    program = tmp_path / "give_token.py"
    program.write_text(
        f"from pathlib import Path; count = Path({str(count)!r})\n"
        "n = int(count.read_text()) + 1 if count.exists() else 1; count.write_text(str(n))\n"
        f"""print('{{"apiVersion": "{version}", "kind": "ExecCredential", "status": {{"token": "token-%d"}}}}' % n)\n"""
    )
    asked = {"apiVersion": version, "command": sys.executable, "args": [str(program)], "interactiveMode": "Never"}
    monkeypatch.setenv("KUBECONFIG", _kubeconfig(tmp_path / "config", {"cloud": {"exec": asked}}))
    given = [login(kopf.OperatorSettings()).as_http_headers()["Authorization"] for _ in range(2)]
    assert given == ["Bearer token-1", "Bearer token-2"]


def test_without_any_it_says_what_to_do() -> None:
    """Neither file nor account is an error in words."""
    with pytest.raises(kopf.LoginError, match="set KUBECONFIG"):
        login(kopf.OperatorSettings())
