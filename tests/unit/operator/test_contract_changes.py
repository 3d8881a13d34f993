"""An edit that breaks what the resource promised is refused, in the words of the check, unless it says that it may."""

import copy
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kopf
import pytest
import yaml
from click.testing import CliRunner

from orderflow_cli.main import main
from orderflow_model.contracts.promise import as_text, promises
from orderflow_model.loading.load import parse_flow
from orderflow_operator.entrypoints.admission import review
from orderflow_operator.reconciler.events import break_events
from orderflow_operator.reconciler.ownership import OwnershipIndex
from orderflow_operator.reconciler.validation import Validation, validate

Json = dict[str, Any]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
Edit = Callable[[Json], object]
ALLOW = "orderflow.dev/allow-breaking"
SCHEMA: Json = {
    "type": "object",
    "properties": {"orderId": {"type": "string"}, "qty": {"type": "integer"}, "name": {"type": "string"}},
    "required": ["orderId", "qty"],
}


@pytest.fixture
def promised(document: Json) -> Json:
    """The reference flow with a schema of its first event, whose field `name` is personal, as a resource."""
    document["spec"]["events"][0] |= {"schema": copy.deepcopy(SCHEMA), "personalData": ["/name"]}
    return document


def accepted(flow: Json) -> Json:
    """The same flow as it stands in the cluster once it was accepted: the status remembers."""
    return flow | {"status": {"promises": as_text(promises(parse_flow(flow)))}}


def edited(flow: Json, edit: Edit) -> Json:
    """A copy of an accepted flow, edited."""
    made = copy.deepcopy(accepted(flow))
    edit(made)
    return made


def judged(flow: Json) -> Validation:
    """The one verdict, which is the webhook's and the reconcile's."""
    return validate(flow, OwnershipIndex(), {})


def schema_of(flow: Json) -> Json:
    """The schema of the first event."""
    found: Json = flow["spec"]["events"][0]["schema"]
    return found


BREAKING: dict[str, tuple[Edit, str]] = {
    "a required field is added": (
        lambda flow: schema_of(flow).update(required=["orderId", "qty", "name"]),
        "/name: backward: today's readers: has to be there, and may be missing in what is written",
    ),
    "a required field is removed": (
        lambda flow: schema_of(flow).update(required=["orderId"]),
        "/qty: forward: yesterday's readers: has to be there, and may be missing",
    ),
    "a type is narrowed": (
        lambda flow: schema_of(flow)["properties"].update(orderId={"type": "integer"}),
        "/orderId: backward: today's readers: takes integer, and string is written",
    ),
    "a mark of personal data goes": (
        lambda flow: flow["spec"]["events"][0].update(personalData=[]),
        "/name: personal: is no longer marked as personal data",
    ),
    "the schema goes": (
        lambda flow: [flow["spec"]["events"][0].pop(key) for key in ("schema", "personalData")],
        ": backward: has no schema any more",
    ),
    "the version is lowered": (
        lambda flow: schema_of(flow).update({"x-version": 1, "x-reads": [1]}),
        ": backward: version 2 was published, and its contract has gone back to 1",
    ),
    "an older version is no longer read": (
        lambda flow: schema_of(flow).update({"x-reads": [2]}),
        ": backward: version 1 is no longer read",
    ),
    "it becomes what nobody can read": (
        lambda flow: schema_of(flow).update(type="text"),
        ": backward: cannot be judged, and so counts as broken",
    ),
}


@pytest.mark.parametrize("kind", BREAKING)
def test_what_breaks_readers_is_refused_by_webhook_and_reconcile(promised: Json, kind: str) -> None:
    """The event, the field, the direction and why stand in the answer, with its place, and how to say it is wanted."""
    edit, words = BREAKING[kind]
    schema_of(promised).update({"x-version": 2, "x-reads": [1, 2]})
    event = promised["spec"]["events"][0]["name"]
    new = edited(promised, edit)
    validation = judged(new)
    assert validation.reason == "BreakingChange"
    assert f"spec.events[0]: {event}{words}" in validation.message
    assert validation.message.endswith(f"annotate the flow with {ALLOW}: {event}")
    with pytest.raises(kopf.AdmissionError, match="BreakingChange"):
        review(new, accepted(promised), judged)


@pytest.mark.parametrize("kind", BREAKING)
def test_a_break_that_is_said_to_be_wanted_is_accepted_and_told(promised: Json, kind: str) -> None:
    """The annotation names the event; an Event keeps what was broken, and then there is nothing to tell any more."""
    event = promised["spec"]["events"][0]["name"]
    schema_of(promised).update({"x-version": 2, "x-reads": [1, 2]})
    new = edited(promised, BREAKING[kind][0])
    new["metadata"]["annotations"] = {ALLOW: f" OTHER, {event} "}
    validation = judged(new)
    assert validation.valid
    (told,) = break_events(new, validation.breaks, NOW)
    assert (told["type"], told["reason"], event in told["message"]) == ("Warning", "ContractBroken", True)
    assert judged(accepted(new)).breaks == ()


def test_an_annotation_for_another_event_allows_nothing(promised: Json) -> None:
    """Each break has to be named."""
    new = edited(promised, BREAKING["a type is narrowed"][0])
    new["metadata"]["annotations"] = {ALLOW: promised["spec"]["events"][1]["name"]}
    assert judged(new).reason == "BreakingChange"


def test_an_annotation_that_is_left_behind_is_warned_of(promised: Json) -> None:
    """It would let the next break pass unseen."""
    promised["metadata"]["annotations"] = {ALLOW: promised["spec"]["events"][0]["name"]}
    (warning,) = [one for one in map(str, judged(accepted(promised)).warnings) if ALLOW in one]
    assert "nothing breaks of" in warning


HARMLESS: dict[str, Edit] = {
    "nothing": lambda flow: None,
    "words": lambda flow: schema_of(flow).update(description="what happened"),
    "an optional field is added": lambda flow: schema_of(flow)["properties"].update(note={"type": "string"}),
    "more is personal": lambda flow: flow["spec"]["events"][0].update(personalData=["/name", "/orderId"]),
    "a version with its upcaster": lambda flow: schema_of(flow).update({"x-version": 2, "x-reads": [1, 2]}),
    "another event": lambda flow: flow["spec"]["events"].append({"name": "MORE", "schema": {"type": "object"}}),
}


@pytest.mark.parametrize("kind", HARMLESS)
def test_what_breaks_nobody_is_accepted(promised: Json, kind: str) -> None:
    """Edits of schemas are not refused as such."""
    assert judged(edited(promised, HARMLESS[kind])).message == ""


def test_a_mark_is_kept_also_where_a_class_is_the_contract(document: Json) -> None:
    """Of an event without a schema the resource still promises what is personal."""
    document["spec"]["events"][0]["personalData"] = ["/customer", "/shipTo"]
    new = edited(document, lambda flow: flow["spec"]["events"][0].update(personalData=["/customer"]))
    assert "/shipTo: personal: is no longer marked as personal data" in judged(new).message


def test_an_edit_is_held_against_what_was_accepted_not_against_what_was_stored(promised: Json) -> None:
    """What was stored past the webhook and refused may be taken back, though that too would break it."""
    stored = edited(promised, BREAKING["a type is narrowed"][0])
    back = copy.deepcopy(promised) | {"status": stored["status"]}
    assert review(back, stored, judged) is not None


def test_a_flow_whose_edit_is_refused_for_what_it_breaks_keeps_its_topics(promised: Json) -> None:
    """Also when an operator starts: only of a flow that is wrong by itself nobody knows what it has."""
    broken = edited(promised, BREAKING["a type is narrowed"][0])
    assert (judged(broken).valid, judged(broken).claimant is None) == (False, False)
    wrong = edited(promised, lambda flow: flow["spec"]["services"][0]["subscribes"].append("UNKNOWN"))
    assert judged(wrong).claimant is None


def test_what_nobody_could_read_has_promised_nothing(promised: Json) -> None:
    """A schema that was wrong from the beginning may be mended."""
    promised["spec"]["events"][0] |= {"schema": {"type": "text"}, "personalData": []}
    assert judged(edited(promised, lambda flow: flow["spec"]["events"][0].update(schema=SCHEMA))).message == ""


def test_a_flow_that_was_never_accepted_has_promised_nothing(promised: Json) -> None:
    """Also where somebody else wrote its status."""
    for status in (None, {}, {"promises": 7}, {"promises": "x"}, {"promises": "eJwrSy0qzszPAwAQAQPo"}, [1]):
        assert judged(promised | {"status": status}).valid


def test_the_words_are_those_of_the_check(promised: Json, tmp_path: Path) -> None:
    """The command, given the same two resources, says the same lines."""
    for key in ("uid", "generation", "resourceVersion", "creationTimestamp"):
        del promised["metadata"][key]
    new = edited(promised, lambda flow: schema_of(flow)["properties"].update(qty={"type": "string"}))
    del new["status"]
    files = {"old": promised, "new": new}
    for name, flow in files.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(flow))
    old, against = str(tmp_path / "old.yaml"), str(tmp_path / "export")
    command = CliRunner().invoke(main, ["contracts", "export", old, "--to", against])
    assert command.exit_code == 0, command.output
    checked = CliRunner().invoke(main, ["contracts", "check", str(tmp_path / "new.yaml"), "--against", against])
    lines = [line for line in checked.stdout.splitlines() if ": backward: " in line or ": forward: " in line]
    findings = judged(new | {"status": accepted(promised)["status"]}).findings
    assert [finding.message for finding in findings] == lines
    assert len(lines) == 2


@pytest.mark.parametrize(
    "hostile",
    [
        {
            "$defs": {
                f"a{i}": {"properties": {f"p{j}": {"$ref": f"#/$defs/a{j}"} for j in range(12)}} for i in range(12)
            }
        },
        {"$defs": {f"a{i}": {"anyOf": [{"$ref": f"#/$defs/a{(i + 1) % 60}"}] * 2} for i in range(60)}},
        {"$defs": {f"a{i}": {"allOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(60)} | {"a60": {}}},
        {"$defs": {"a0": {"anyOf": [{"$ref": "#/$defs/a0"}]}}},
    ],
)
def test_a_schema_that_unfolds_without_end_holds_nobody_up(promised: Json, hostile: Json) -> None:
    """It is refused within seconds, as what cannot be judged."""
    given = hostile | {"type": "object", "properties": {"a": {"$ref": "#/$defs/a0"}}}
    promised["spec"]["events"][0] |= {"schema": given, "personalData": []}
    new = edited(promised, lambda flow: schema_of(flow)["properties"].update(b={"type": "string"}))
    began = time.monotonic()
    judged(new)
    assert time.monotonic() - began < 20


def test_schemas_that_cannot_be_remembered_are_refused(document: Json) -> None:
    """Together they are larger than a status may hold: the message says where else they can stand."""
    source = random.Random(7)
    for event in document["spec"]["events"]:
        noise = ["".join(source.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=60_000))]
        event["schema"] = {"type": "object", "properties": {"a": {"enum": noise}}}
    assert "put some into a ConfigMap" in judged(document).message
