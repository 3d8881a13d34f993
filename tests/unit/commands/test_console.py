"""`orderflow console`: says where a flow's console is and how to log in, and opens the way where it has no address."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from orderflow_cli.commands import console
from orderflow_cli.main import main
from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import load_flow
from orderflow_model.spec.console import Console
from support.flow.cli_process import FLOW

OIDC = {"issuer": "https://login.example.com", "clientId": "shop", "roles": {"operator": ["ops"]}}
PUBLIC = {"url": "https://console.example.com"}


def ask(monkeypatch: pytest.MonkeyPatch, given: Mapping[str, Any] | None) -> Result:
    """Run the command against a cluster that has the flow with this console; give what it said."""

    class Cluster:
        namespace = "team-a"

        def flow(self, name: str, namespace: str | None) -> OrderFlow:
            flow = load_flow(FLOW)
            named = None if given is None else Console.model_validate({"image": "i:1"} | dict(given))
            return flow.model_copy(update={"spec": flow.spec.model_copy(update={"console": named})})

        def get(self, path: str) -> Any:
            secret = {"shop-console.token": "drawn", "mine": "given"}[path.rpartition("/")[2]]
            return {"data": {key: base64.b64encode(secret.encode()).decode() for key in ("password", "key")}}

    monkeypatch.setattr(console, "Cluster", Cluster)
    return CliRunner().invoke(main, ["console", "shop"])


def kubectl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Put a kubectl on the path that notes what it is told and ends."""
    program, told = tmp_path / "kubectl", tmp_path / "told"
    program.write_text(f'#!/bin/sh\necho "$@" > {told}\nexit 3\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return told


def test_the_way_is_opened_and_the_token_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On this machine alone, to the Service of the console, for as long as kubectl goes on."""
    told = kubectl(monkeypatch, tmp_path)
    said = ask(monkeypatch, {})
    where, token, *_ = said.output.splitlines()
    port = where.split(":")[3].split()[0]
    assert token.split() == ["token:", "drawn"]
    forward = f"port-forward -n team-a --address 127.0.0.1 service/shop-console {port}:80"
    assert told.read_text().strip() == forward
    assert "kubectl ended with 3" in said.output


def test_a_console_with_an_address_of_its_own_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is forwarded; the token is said where people log in by one, and not where a provider asks them."""
    assert ask(monkeypatch, PUBLIC | {"auth": {"oidc": OIDC}}).output == "console: https://console.example.com\n"
    own = {"auth": {"token": {"secretKeyRef": {"name": "mine", "key": "key"}}}}
    assert ask(monkeypatch, PUBLIC | own).output.splitlines()[1].split() == ["token:", "given"]


def test_what_is_missing_is_said_with_how_to_mend_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A flow without a console, and a machine without kubectl, end with a sentence."""
    said = ask(monkeypatch, None)
    assert (said.exit_code, "spec.console" in said.output) == (1, True)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = ask(monkeypatch, {})
    assert (said.exit_code, "kubectl is not on the path" in said.output) == (1, True)
