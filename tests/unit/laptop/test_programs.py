"""What the services of a flow are started with on a laptop: a pod's environment, with addresses that exist here."""

import csv
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from orderflow_cli.errors import CannotRunHereError
from orderflow_cli.local.addresses import Addresses
from orderflow_cli.local.service_programs import Backends, check_runnable, service_programs
from orderflow_cli.local.state import State, open_state
from orderflow_cli.local.supervisor import Program
from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import load_flow
from support.flow.cli_process import FLOW

SHELL = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent/ada", "AWS_SECRET_ACCESS_KEY": "not for services"}


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """The state directory of a flow."""
    with open_state(tmp_path / "state", "shop") as state:
        yield state


def _flow(**changes: Any) -> OrderFlow:
    """The reference flow with its payment service changed."""
    resource = yaml.safe_load(FLOW.read_text())
    resource["spec"]["services"][2].update(changes)
    return load_flow(yaml.safe_dump(resource))


def _programs(flow: OrderFlow, state: State, shell: Mapping[str, str] = SHELL) -> dict[str, Program]:
    backends = Backends("127.0.0.1:19092", 15432)
    check_runnable(flow, shell)
    return {program.name: program for program in service_programs(flow, state, backends, shell)}


def _install_docker(folder: Path, monkeypatch: pytest.MonkeyPatch, exit_code: int) -> None:
    """Make the only program on PATH a docker whose daemon answers with this exit code."""
    docker = folder / "docker"
    docker.write_text(f"#!/bin/sh\nexit {exit_code}\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_each_service_is_told_what_a_pod_is_told(state: State) -> None:
    """Its configuration, its own role's database URL, Kafka and its port; of the user's shell only the machine."""
    env = _programs(_flow(), state)["inventory"].env
    assert json.loads(Path(env["ORDERFLOW_CONFIG"]).read_text())["service"] == "inventory"
    assert env["ORDERFLOW_DATABASE_URL"].startswith("postgresql://shop_inventory:")
    assert env["ORDERFLOW_KAFKA_BOOTSTRAP"] == "127.0.0.1:19092"
    assert int(env["ORDERFLOW_HTTP_PORT"]) == state.port("inventory")
    assert env["ORDERFLOW_HTTP_KEEP_ALIVE"] == "75"
    assert "ORDERFLOW_HTTP_DRAIN" not in env, "Ctrl-C is quick"
    assert "AWS_SECRET_ACCESS_KEY" not in env


def test_the_provider_is_started_and_found(state: State) -> None:
    """The address that the resource names in the cluster leads to the provider's process here."""
    programs = _programs(_flow(), state)
    port = programs["payment-provider"].env["ORDERFLOW_HTTP_PORT"]
    assert programs["payment"].env["PAYMENT_PROVIDER_URL"] == f"http://127.0.0.1:{port}"


def test_without_its_address_there_is_no_provider(state: State) -> None:
    """A flow that names no provider gets none."""
    assert "payment-provider" not in _programs(_flow(env=[]), state)


def test_a_secret_comes_from_the_users_environment(state: State) -> None:
    """A value that stands in a Secret of the cluster is taken from the variable of the same name."""
    secret = {"secretKeyRef": {"name": "psp", "key": "token"}}
    flow = _flow(env=[{"name": "PSP_TOKEN", "valueFrom": secret}])
    assert _programs(flow, state, SHELL | {"PSP_TOKEN": "s3"})["payment"].env["PSP_TOKEN"] == "s3"  # noqa: S105 - a made-up token
    with pytest.raises(CannotRunHereError, match="service payment takes PSP_TOKEN from a Secret"):
        _programs(flow, state)


def test_a_collector_on_this_machine_is_told_to_every_service(state: State) -> None:
    """OpenTelemetry's own variables pass from the user's environment; nothing else of it does."""
    told = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_TRACES_EXPORTER": "console"}
    for name in ("order", "payment"):
        env = _programs(_flow(), state, SHELL | told)[name].env
        assert {variable for variable in env if variable.startswith("OTEL_")} == {"OTEL_EXPORTER_OTLP_ENDPOINT"}


def test_python_is_the_one_that_runs_the_command(state: State) -> None:
    """`python` in a resource means the interpreter that has the flow's packages."""
    assert _programs(_flow(), state)["order"].argv == [sys.executable, "-m", "orderflow_order"]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ([], "it names no command, only an image"),
        (["python", "-m", "parcel_robot"], "there is no module parcel_robot"),
        (["parcel-robot"], "there is no program parcel-robot"),
    ],
)
def test_what_cannot_run_here_is_refused_with_its_reason(
    state: State, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: list[str], reason: str
) -> None:
    """Without docker, the service, the reason and the way out are named."""
    _install_docker(tmp_path, monkeypatch, exit_code=1)
    with pytest.raises(CannotRunHereError, match=f"service payment cannot run here: {reason}.*start docker"):
        _programs(_flow(command=command), state)


def test_what_cannot_run_here_runs_in_docker(state: State, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The image gets the same environment by name, so that no secret stands in a command line."""
    _install_docker(tmp_path, monkeypatch, exit_code=0)
    program = _programs(_flow(command=[], image="acme/payment:1"), state)["payment"]
    line = " ".join(program.argv)
    assert line.startswith("docker run --rm --init --network host --name shop-payment ")
    assert "--env ORDERFLOW_DATABASE_URL " in line
    assert "--env ORDERFLOW_CONFIG=/etc/orderflow/service.json" in line
    assert line.endswith(" acme/payment:1")
    assert state.password("payment") not in line
    assert program.clear == ["docker", "rm", "-f", "shop-payment"]


def test_docker_finds_the_configuration_in_a_folder_of_any_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its mount is a line of CSV: a colon, a comma and a quotation mark of the path mean nothing in it."""
    _install_docker(tmp_path, monkeypatch, exit_code=0)
    with open_state(tmp_path / 'a: "b", c=d', "shop") as state:
        argv = _programs(_flow(command=[], image="acme/payment:1"), state)["payment"].argv
        (words,) = csv.reader([argv[argv.index("--mount") + 1]])
        mount = dict(word.partition("=")[::2] for word in words)
        assert Path(mount["source"]) == state.path / "config" / "payment.json"
        assert mount["target"] == "/etc/orderflow/service.json"


@pytest.mark.parametrize(
    ("value", "rewritten"),
    [
        ("http://payment-provider:8090", "http://127.0.0.1:19000"),
        ("http://payment-provider:8090/v1?x=1", "http://127.0.0.1:19000/v1?x=1"),
        ("http://shop-order.prod.svc.cluster.local:8080/orders", "http://127.0.0.1:19001/orders"),
        ("http://ada:pw@shop-order/", "http://ada:pw@127.0.0.1:19001/"),
        ("https://api.example.com/v1", "https://api.example.com/v1"),
        ("payment-provider", "payment-provider"),
        ("5", "5"),
        ("", ""),
        ("http://[", "http://["),
    ],
)
def test_addresses_of_the_flow_are_rewritten_and_no_others(value: str, rewritten: str) -> None:
    """Only a URL whose host is in the flow changes, and only its host and port."""
    addresses = Addresses({"shop-order": 19001}, {"http://payment-provider:8090": 19000})
    assert addresses.rewrite(value) == rewritten
