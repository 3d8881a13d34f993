"""What the services of a flow are started with on a laptop: a pod's environment, with addresses that exist here."""

import csv
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from orderflow_cli.errors import CannotRunHereError, StateError
from orderflow_cli.local.addresses import Addresses
from orderflow_cli.local.service_programs import Backends, check_runnable, service_programs
from orderflow_cli.local.state import State, open_state
from orderflow_cli.local.supervisor import Program
from orderflow_model.environment import own_environment
from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import load_flow
from orderflow_model.spec.placement import Placement, PlacementMode
from support.flow.cli_process import FLOW
from support.flow.queue_bench import SOURCE

SHELL = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent/ada", "AWS_SECRET_ACCESS_KEY": "not for services"}

APART, TOGETHER = Placement(), Placement(mode=PlacementMode.TOGETHER)


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


def _programs(
    flow: OrderFlow, state: State, shell: Mapping[str, str] = SHELL, placement: Placement = APART
) -> dict[str, Program]:
    backends = Backends("127.0.0.1:19092", 15432)
    check_runnable(flow, shell)
    return {program.name: program for program in service_programs(flow, placement, state, backends, shell)}


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


def test_together_services_are_one_program_with_an_environment_each(state: State) -> None:
    """Each finds by its own name what it is told when it is apart, its log and itself."""
    apart, together = _programs(_flow(), state), _programs(_flow(), state, placement=TOGETHER)
    assert list(together) == ["together", "payment-provider"]
    program = together["together"]
    assert program.argv[1:4] == ["-m", "orderflow_runtime.shared_process", "order=orderflow_order"]
    for name in ("order", "inventory", "payment", "shipping", "notification"):
        own = own_environment(name, program.env)
        assert own.pop("ORDERFLOW_LOG_FILE") == str(apart[name].log)
        assert own == apart[name].env
        assert state.path / "pids" / name in program.pid_files


@pytest.mark.parametrize(
    "code", [None, "def main(): pass\n", "import build\n", "def build(settings: pass\n", "class A:\n    build = 1\n"]
)
def test_a_service_that_is_another_program_stays_apart(
    state: State, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str | None
) -> None:
    """Without a `build` of its own nobody but its command can start it; it is not imported to find that out."""
    if code is not None:
        (tmp_path / "robot.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    command = ["python", "-m", "robot"] if code is not None else [sys.executable, "robot"]
    programs = _programs(_flow(command=command), state, placement=TOGETHER)
    assert list(programs) == ["together", "payment", "payment-provider"]
    assert "payment" not in programs["together"].services


@pytest.mark.parametrize(
    "code", ["def build(settings): ...\n", "from x import build\n", "from x import y as build\n", "build = print\n"]
)
def test_a_module_with_a_build_of_its_own_can_share(
    state: State, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str
) -> None:
    """However it came by it, and as a package too."""
    (tmp_path / "robot").mkdir()
    (tmp_path / "robot" / "__init__.py").touch()
    (tmp_path / "robot" / "__main__.py").write_text(f"raise SystemExit('imported')\n{code}")
    monkeypatch.chdir(tmp_path)
    programs = _programs(_flow(command=["python", "-m", "robot"]), state, placement=TOGETHER)
    assert "payment=robot" in programs["together"].argv


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


def test_a_configuration_that_cannot_be_written_is_told_with_its_file(state: State) -> None:
    """One sentence with the place, and what to do about it."""
    file = state.folder("config") / "payment.json"
    file.mkdir()
    with pytest.raises(StateError, match=f"{file} cannot be written: Is a directory. Give another folder"):
        _programs(_flow(), state)


def test_a_source_finds_its_taker_and_takes_its_uri_from_the_shell(state: State) -> None:
    """On a laptop a source is a program beside all others; without its URI it says which variable to set."""
    resource = yaml.safe_load(FLOW.read_text())
    resource["spec"]["sources"] = [SOURCE]
    flow = load_flow(yaml.safe_dump(resource))
    with pytest.raises(CannotRunHereError, match="ERP_QUEUE_URI"):
        check_runnable(flow, SHELL)
    env = _programs(flow, state, SHELL | {"ERP_QUEUE_URI": "amqp://localhost/"}, TOGETHER)["erp"].env
    assert env["SOURCE_INTO"] == f"http://127.0.0.1:{state.port('order')}/orders"
    assert env["ERP_QUEUE_URI"] == "amqp://localhost/"
