"""Every variable of a process's environment: a wrong value ends it with 78 and one line that names the variable."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from orderflow_cli.servers.ports import free_port
from orderflow_model import environment
from orderflow_model.service_config import PrivacyRole, PushConfig
from orderflow_model.spec.push import PushProtocol
from orderflow_model.spec.saga import TraceProtocol
from orderflow_push import __main__ as dispatcher
from orderflow_runtime import MisconfiguredError, Settings, app, main
from orderflow_runtime.database_job import run_job
from orderflow_runtime.migrate import migrate
from orderflow_runtime.process import Process
from orderflow_runtime.removal import remove_given
from support.runtime.sample_service import Script, sample_config, sample_service

NO_NUMBERS = ["abc", "-1", "1.5", " 8080", "٣", "999999", "0x10"]
WRONG = {
    environment.CONFIG: ["/no/such/file", "/", "EMPTY"],
    environment.DATABASE_URL: [
        "mysql://localhost/x",
        "postgresql://localhost:port/x",
        "postgresql://a..b/x",
        "postgresql://localhost/x?sslmode=never",
        "postgresql://localhost/x?sslmode=verify-full&sslrootcert=/no/such/file",
    ],
    environment.KAFKA_BOOTSTRAP: [
        *("kafka", "kafka:port", "kafka:99999", "kafka:9092,", "http://kafka:9092", "a b:9092"),
        *("a..b:9092", ".:9092", f"{'k' * 64}.kafka:9092"),
    ],
    environment.KAFKA_SECURITY_PROTOCOL: ["TLS", "SASL", "sasl-ssl", " SSL"],
    environment.KAFKA_SASL_MECHANISM: ["SCRAM", "GSSAPI", "SCRAM_SHA_512"],
    environment.KAFKA_USERNAME: [""],
    environment.KAFKA_PASSWORD: [""],
    environment.KAFKA_CA_FILE: ["/no/such/file", "/", "EMPTY"],
    environment.HTTP_HOST: ["no such host", "256.256.256.256", "host.invalid", "a..b", "8.8.8.8"],
    environment.HTTP_PORT: [*NO_NUMBERS, "TAKEN"],
    environment.METRICS_PORT: [*NO_NUMBERS, "TAKEN"],
    environment.HTTP_KEEP_ALIVE: NO_NUMBERS,
    environment.HTTP_DRAIN: NO_NUMBERS,
    environment.LOG_LEVEL: ["LOUD", "10", "debug ", "NOTSET"],
    environment.LOG_FILE: ["/", "/no/such/folder/log"],
    environment.INSTANCE: ["a b", "a/b", "é", "x" * 250],
    environment.PRIVACY_KEY: ["", "short", "k" * 31],
    environment.OTLP_ENDPOINT: [
        "collector:4317",
        "http://",
        "http://collector:port",
        "http://collector:99999",
        "http://collector:0",
        "http://a..b:4317",
        "ftp://collector:4317",
        "http://[::1",
        "http://a b:4317",
        "nonsense",
    ],
    environment.OTLP_HEADERS: ["nonsense", "a=b,secret", "=x", "na me=x", "a=%C3%A9", "a=x%0Ay", "é=x", "key-bin=x"],
    environment.OTLP_CERTIFICATE: ["/no/such/file", "/", "EMPTY"],
}
JOBS = {environment.MIGRATION, environment.PASSWORDS, environment.REMOVAL}
NO_NAMES = {environment.PREFIX, environment.CONFIG_PATH_IN_POD, environment.DEFAULT_HTTP_HOST}
TAKEN_AS_THEY_ARE = {environment.LAKE, environment.OTEL_ATTRIBUTES, environment.OTEL_NAME}
"""By a service of its own; by OpenTelemetry, whose rule is that what is no attribute is left aside."""
DISPATCHERS = {environment.APP_PORT}


def test_the_table_has_every_variable() -> None:
    """A variable that is new gets its wrong values here; those of jobs and dispatchers stand in their own tests."""
    names = {value for name, value in vars(environment).items() if name.isupper() and isinstance(value, str)}
    assert set(WRONG) == names - JOBS - NO_NAMES - TAKEN_AS_THEY_ARE - DISPATCHERS


@contextmanager
def told(folder: Path, **variables: str) -> Iterator[dict[str, str]]:
    """Yield an environment that a service starts with; TAKEN becomes a port that is taken, EMPTY an empty file."""
    config, empty = folder / "service.json", folder / "empty"
    reader = sample_config().model_copy(update={"privacy": PrivacyRole.READER})
    config.write_text(reader.model_dump_json(by_alias=True))
    empty.touch()
    taken = socket.create_server(("127.0.0.1", 0))
    known = {"EMPTY": str(empty), "TAKEN": str(taken.getsockname()[1])}
    right = {
        environment.CONFIG: str(config),
        environment.DATABASE_URL: "postgresql://localhost/x",
        environment.KAFKA_BOOTSTRAP: "127.0.0.1:1",
        environment.KAFKA_SECURITY_PROTOCOL: "SASL_PLAINTEXT",
        environment.KAFKA_USERNAME: "sample",
        environment.KAFKA_PASSWORD: "secret",
        environment.HTTP_PORT: str(free_port()),
        environment.PRIVACY_KEY: "k" * 32,
        environment.OTLP_ENDPOINT: "https://127.0.0.1:4317",
    }
    with taken:
        yield {**right, **{name: known.get(value, value) for name, value in variables.items()}}


def use(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    """Let this process have these variables, and none else of the platform's."""
    for name in (*WRONG, "OTEL_RESOURCE_ATTRIBUTES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(app.logs, "set_up", lambda *_: None)
    monkeypatch.setattr(app, "_spare_collector", lambda: None)
    monkeypatch.setattr(Process, "work", start)


JOB_VALUES = {
    environment.DATABASE_URL: ["", "mysql://localhost/x"],
    environment.MIGRATION: [
        "",
        "/no/such/file",
        "/",
        "[]",
        "{",
        "\xff",
        '{"flow": 1}',
        '{"flow": "f", "services": [1]}',
    ],
    environment.PASSWORDS: ["", "/no/such/folder", "BINARY"],
    environment.REMOVAL: ["", "[]", "{", '{"owner": "a/b"}', '{"owner": "a/b", "keep": 1}'],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in JOB_VALUES.items() for value in values])
def test_a_wrong_value_ends_a_job_with_the_name_of_its_variable(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Code 78 and one line, which the cluster keeps as the pod's last words."""
    (tmp_path / "order").write_bytes(b"\xff" if value == "BINARY" else b"password")
    given = tmp_path / "given.json"
    given.write_text('{"flow": "f", "services": {"order": ["python", "-m", "orderflow_order"]}}')
    if name == environment.MIGRATION and value and not value.startswith("/"):
        given.write_text(value, encoding="latin-1")
        value = str(given)
    right = {
        environment.DATABASE_URL: "postgresql://localhost/x",
        environment.MIGRATION: str(given),
        environment.PASSWORDS: str(tmp_path),
    }
    use(monkeypatch, right | {name: str(tmp_path) if value == "BINARY" else value})
    with pytest.raises(SystemExit) as ended:
        run_job("removal", remove_given) if name == environment.REMOVAL else run_job("migration", migrate)
    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n")) == (os.EX_CONFIG, 1)
    assert name in said


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InterfaceError("the client cannot"),
        asyncpg.InternalClientError("out of step"),
        asyncpg.ProtocolError("out of step"),
        asyncpg.OutdatedSchemaCacheError("a type is gone"),
        asyncpg.PostgresError("no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_the_client_of_postgres_raises_ends_a_job_with_a_sentence(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Code 1 and one line without who connected."""

    async def fail(_: str) -> str:
        raise error

    monkeypatch.setenv(environment.DATABASE_URL, "postgresql://admin:secret@localhost/x")
    with pytest.raises(SystemExit) as ended:
        run_job("migration", fail)
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"migration failed: Postgres: {error}\n"


async def start(*_: object) -> None:
    """Fail: what is configured wrongly starts nothing."""
    pytest.fail("it has started")


CASES = [(name, value, TraceProtocol.GRPC) for name, values in WRONG.items() for value in values]
CASES += [(name, value, TraceProtocol.HTTP) for name, value, _ in CASES if name in environment.OPENTELEMETRY]


@pytest.mark.parametrize(("name", "value", "protocol"), CASES)
def test_a_wrong_value_ends_the_process_with_the_name_of_its_variable(
    name: str,
    value: str,
    protocol: TraceProtocol,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Code 78, one line, no traceback; neither a password nor a header's value is quoted."""
    with told(tmp_path, **{name: value}) as env:
        config = sample_config()
        tracing = config.tracing.model_copy(update={"protocol": protocol})
        config = config.model_copy(update={"tracing": tracing, "privacy": PrivacyRole.READER})
        Path(tmp_path / "service.json").write_text(config.model_dump_json(by_alias=True))
        use(monkeypatch, env)
        with pytest.raises(SystemExit) as ended:
            main(lambda _: sample_service(Script()))
    said = capsys.readouterr().err
    assert ended.value.code == os.EX_CONFIG
    assert name in said
    assert said.count("\n") == 1, said
    assert "secret" not in said


def test_right_values_start_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same environment without a wrong value, and an empty variable, which is one that is not set."""
    begun = []

    async def note(_: Process, ending: Any, serving: list[Any], helping: list[Any]) -> None:
        begun.append(1)
        for part in (*serving, *helping):
            part.close()

    with told(
        tmp_path, **{environment.OTLP_HEADERS: "a=b, authorization=Bearer%20x", environment.LOG_LEVEL: ""}
    ) as env:
        use(monkeypatch, env)
        monkeypatch.setattr(Process, "work", note)
        main(lambda _: sample_service(Script()))
    assert begun == [1]


@pytest.mark.parametrize("value", ["", *NO_NUMBERS])
def test_a_dispatcher_is_not_built_without_its_program_s_port(value: str) -> None:
    """What is no port is told with the name of its variable."""
    config = sample_config().model_copy(
        update={"push": PushConfig(protocol=PushProtocol.CLOUD_EVENTS, path="/", concurrency=1, batch=1)}
    )
    with pytest.raises(MisconfiguredError, match=environment.APP_PORT):
        dispatcher.build(Settings(config, {environment.APP_PORT: value}))
