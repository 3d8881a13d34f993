"""Who the operator is: by a kubeconfig, or by the account of its pod."""

import json
from pathlib import Path

import kopf
import pytest

from orderflow_operator.login import login


def test_a_kubeconfig_names_cluster_and_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current context counts."""
    (file := tmp_path / "config").write_text(
        json.dumps(
            {
                "current-context": "b",
                "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in "ab"],
                "clusters": [{"name": name, "cluster": {"server": f"https://{name}.example:6443"}} for name in "ab"],
                "users": [{"name": name, "user": {"token": f"token-{name}"}} for name in "ab"],
            }
        )
    )
    monkeypatch.setenv("KUBECONFIG", str(file))
    found = login(kopf.OperatorSettings())
    assert found.server == "https://b.example:6443"
    assert found.as_http_headers() == {"Authorization": "Bearer token-b"}


def test_without_any_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither file nor account is an error in words."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(kopf.LoginError, match="set KUBECONFIG"):
        login(kopf.OperatorSettings())
