"""What `orderflow redrive` is told: which letters, how they are repaired, and where the flow is."""

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orderflow_cli.dead_letters.records import export, read_repairs
from orderflow_cli.errors import NotRunningError, StateError
from orderflow_cli.local.running_flow import find_flow
from orderflow_console.actions.redrive import RedriveError, Repair
from orderflow_console.queries.dead_letters import Condition, DeadLetter, parse_condition
from orderflow_console.queries.errors import ReadError
from orderflow_console.queries.kafka import client_options
from orderflow_console.queries.letter_records import DeadRecord
from orderflow_contracts.dead_letters import MAX_REDRIVES
from orderflow_model import environment

ID = uuid.uuid4()
RECORD = DeadRecord(ID, (0, 7), "shop.order-created", b"k", [("ce_id", b"1"), ("empty", None)], b"{")


def letter(redrives: int = 0, kind: str = "ORDER_CREATED") -> DeadLetter:
    """A dead letter."""
    return DeadLetter("s", ID, kind, "k", "t", 0, 1, 6, redrives, "Dead", "why", datetime.now(UTC))


def test_conditions_compare_or_search() -> None:
    """The first of = and ~ decides; the text after it may hold both."""
    assert parse_condition("key=a~b") == Condition("key", False, "a~b")
    assert parse_condition("reason~a=b") == Condition("reason", True, "a=b")
    for wrong in ("", "key", "=a", "state=Dead", "key>1"):
        with pytest.raises(ValueError, match="FIELD=TEXT"):
            parse_condition(wrong)


def test_only_events_that_are_not_looping_can_go_back() -> None:
    """Timers and outcomes of calls have no topic to go back to; the loop guard holds at its limit."""
    assert letter(MAX_REDRIVES - 1).refusal_reason() is None
    assert "limit" in str(letter(MAX_REDRIVES).refusal_reason())
    assert "no event" in str(letter(kind="timer/deadline").refusal_reason())
    assert "no event" in str(letter(kind="call/capture").refusal_reason())


def test_an_exported_record_comes_back_as_it_was_repaired(tmp_path: Path) -> None:
    """What the export says can be handed back; what a repair leaves out stays as it was."""
    line = export(RECORD)
    assert line["text"] == "{"
    file = tmp_path / "repairs.ndjson"
    file.write_text(json.dumps({"id": str(ID), "value": {"a": 1}}) + "\n\n")
    repaired = read_repairs(file)[ID].apply(RECORD)
    assert (repaired.key, repaired.headers, repaired.value) == (b"k", RECORD.headers, b'{"a":1}')
    whole = Repair(id=ID, key="other", headers={"ce_id": "2"}).apply(RECORD)
    assert (whole.key, whole.headers, whole.value) == (b"other", [("ce_id", b"2")], b"{")


@pytest.mark.parametrize("line", ["{", "{}", '{"id": 1}', '{"id": "x", "value": 1}'])
def test_a_broken_repair_is_refused_by_its_line(tmp_path: Path, line: str) -> None:
    """Nothing is redriven when one repair cannot be read."""
    file = tmp_path / "repairs.ndjson"
    file.write_text(f'{{"id": "{ID}"}}\n{line}\n')
    with pytest.raises(RedriveError, match=r"repairs\.ndjson:2"):
        read_repairs(file)


def test_security_comes_from_the_environment_of_a_service() -> None:
    """The same variables reach the same cluster."""
    env = {
        environment.KAFKA_SECURITY_PROTOCOL: "SASL_SSL",
        environment.KAFKA_USERNAME: "u",
        environment.KAFKA_PASSWORD: "p",
        "PATH": "/bin",
    }
    options = client_options("kafka:9093", env)
    assert (options["bootstrap.servers"], options["security.protocol"]) == ("kafka:9093", "SASL_SSL")
    assert (options["sasl.username"], options["sasl.mechanism"]) == ("u", "SCRAM-SHA-512")
    assert "sasl.mechanism" not in client_options("kafka:9092", {})


def test_a_running_flow_is_found_by_its_state(tmp_path: Path) -> None:
    """The only flow needs no name; of several one must be said; what is not there is refused in words."""
    with pytest.raises(NotRunningError, match="no flow"):
        find_flow(tmp_path)
    for name in ("a-shop", "other"):
        (tmp_path / name).mkdir()
        state = {"kafka": "real", "ports": {"order": 1, "kafka": 2, "postgres": 3}, "passwords": {"order": "p/w"}}
        (tmp_path / name / "state.json").write_text(json.dumps(state))
    with pytest.raises(NotRunningError, match="several flows: a-shop, other"):
        find_flow(tmp_path)
    flow = find_flow(tmp_path, "a-shop")
    assert (flow.url("order"), flow.bootstrap()) == ("http://127.0.0.1:1", "127.0.0.1:2")
    assert flow.database("order").render() == "postgresql://a_shop_order:p%2Fw@127.0.0.1:3/a-shop"
    with pytest.raises(NotRunningError, match="no service payment"):
        flow.database("payment")
    (tmp_path / "a-shop" / "state.json").write_text("{")
    with pytest.raises(StateError, match="damaged"):
        find_flow(tmp_path, "a-shop")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (environment.KAFKA_SECURITY_PROTOCOL, "TLS"),
        (environment.KAFKA_SASL_MECHANISM, "SCRAM"),
        (environment.KAFKA_PASSWORD, ""),
        (environment.KAFKA_CA_FILE, "/no/such/file"),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str) -> None:
    """What the client refuses ends the command with one sentence."""
    right = {
        environment.KAFKA_SECURITY_PROTOCOL: "SASL_SSL",
        environment.KAFKA_SASL_MECHANISM: "SCRAM-SHA-512",
        environment.KAFKA_USERNAME: "user",
        environment.KAFKA_PASSWORD: "secret",
    }
    client_options("kafka:9093", right)
    with pytest.raises(ReadError, match=name) as refused:
        client_options("kafka:9093", right | {name: value})
    assert "secret" not in str(refused.value)
