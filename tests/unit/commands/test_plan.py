"""`orderflow plan` of two files: what changes, what stays, and what would be refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from orderflow_cli.exit_codes import ExitCode
from support.flow.cli_process import FLOW, invoke

Json = dict[str, Any]


@pytest.fixture
def shop() -> Json:
    """The reference flow as data, to be changed."""
    data: Json = yaml.safe_load(FLOW.read_text())
    return data


def plan(new: Json, folder: Path, code: int = ExitCode.DONE) -> Json:
    """Compare the reference flow with a changed one."""
    file = folder / "new.yaml"
    file.write_text(yaml.safe_dump(new))
    done = invoke("plan", str(FLOW), str(file), "-o", "json", "--state", str(folder))
    assert done.returncode == code, done.stderr
    found: Json = json.loads(done.stdout)
    return found


def objects(found: Json) -> dict[tuple[str, str, str], dict[str, tuple[str | None, str | None]]]:
    """What becomes of each object, by action, kind and name."""
    return {
        (one["action"], one["kind"], one["name"]): {f["fact"]: (f["before"], f["after"]) for f in one["facts"]}
        for one in found["changes"]
    }


def test_the_same_flow_changes_nothing(shop: Json, tmp_path: Path) -> None:
    """Neither does another order of writing it."""
    assert plan(shop, tmp_path)["changes"] == []
    shop["spec"] = dict(reversed(shop["spec"].items()))
    assert plan(shop, tmp_path)["changes"] == []


def test_an_added_service_is_all_that_is_added(shop: Json, tmp_path: Path) -> None:
    """Its topic of dead letters, schema, rights and process come; nothing of the others changes."""
    shop["spec"]["services"].append(
        {"name": "loyalty", "image": "x", "command": ["python", "-m", "l"], "subscribes": ["ORDER_COMPLETED"]}
    )
    found = objects(plan(shop, tmp_path))
    assert set(found) == {
        ("Add", "KafkaRights", "shop-loyalty"),
        ("Add", "Process", "shop-loyalty"),
        ("Add", "Schema", "loyalty"),
        ("Add", "Service", "loyalty"),
        ("Add", "Topic", "shop.loyalty.dead-letters"),
    }
    assert found["Add", "KafkaRights", "shop-loyalty"]["reads"] == (None, "shop.order-completed")


def test_a_change_is_told_by_the_facts_that_differ(shop: Json, tmp_path: Path) -> None:
    """An image, a deadline, partitions and a default each change what they change, and nothing else."""
    shop["spec"]["services"][2]["image"] = "orderflow/services:2"
    shop["spec"]["saga"]["deadline"] = "20m"
    shop["spec"]["events"][0]["topic"]["partitions"] = 24
    found = objects(plan(shop, tmp_path))
    assert found == {
        ("Change", "Flow", "shop"): {"saga.deadline": ("15m", "20m")},
        ("Change", "Process", "shop-payment"): {"image": ("orderflow/services:dev", "orderflow/services:2")},
        ("Change", "Service", "order"): {"saga.deadlineMs": ("900000", "1200000")},
        ("Change", "Topic", "shop.order-created"): {"partitions": ("12", "24")},
    }


@pytest.mark.parametrize(("policy", "kept"), [("Retain", True), ("Delete", False)])
def test_what_goes_says_whether_its_data_stays(shop: Json, tmp_path: Path, policy: str, kept: bool) -> None:
    """A service that leaves the flow leaves its schema and topic behind, or not, as the flow says."""
    shop["spec"]["deletionPolicy"] = policy
    shop["spec"]["services"] = [one for one in shop["spec"]["services"] if one["name"] != "notification"]
    found = {(one["kind"], one["name"]): one for one in plan(shop, tmp_path)["changes"] if one["action"] == "Remove"}
    assert found["Schema", "notification"]["kept"] is found["Topic", "shop.notification.dead-letters"]["kept"] is kept
    assert found["Process", "shop-notification"]["kept"] is False


def test_an_edit_that_would_be_refused_has_its_own_exit_code(shop: Json, tmp_path: Path) -> None:
    """Fewer partitions, another Kafka: the place in the resource and why, before anything is applied."""
    shop["spec"]["events"][0]["topic"]["partitions"] = 6
    refused = plan(shop, tmp_path, ExitCode.BREAKS)["refused"]
    assert len(refused) == 1
    assert "spec.events[0].topic" in refused[0]


def test_a_schema_that_breaks_its_readers_is_refused_unless_it_is_wanted(shop: Json, tmp_path: Path) -> None:
    """The same verdict as in admission: a type that changes breaks, an annotation says that it may."""
    event = shop["spec"]["events"][1]
    event["schema"] = {"type": "object", "properties": {"points": {"type": "integer"}}, "required": ["points"]}
    (old := tmp_path / "old.yaml").write_text(yaml.safe_dump(shop))
    event["schema"]["properties"]["points"]["type"] = "string"
    (new := tmp_path / "new.yaml").write_text(yaml.safe_dump(shop))
    refused = invoke("plan", str(old), str(new), "--state", str(tmp_path))
    assert (refused.returncode, "refused: ORDER_COMPLETED/points" in refused.stdout) == (ExitCode.BREAKS, True)
    shop["metadata"]["annotations"] = {"orderflow.dev/allow-breaking": "ORDER_COMPLETED"}
    new.write_text(yaml.safe_dump(shop))
    assert invoke("plan", str(old), str(new), "--state", str(tmp_path)).returncode == ExitCode.DONE


def test_without_anything_to_compare_with_it_says_what_to_do(tmp_path: Path) -> None:
    """No flow runs here, and no cluster is known: both are said, and three files are a wrong command line."""
    alone = invoke("plan", str(FLOW), "--state", str(tmp_path))
    assert (alone.returncode, "orderflow run" in alone.stderr) == (ExitCode.REFUSED, True)
    away = invoke("plan", str(FLOW), "--cluster", env={"KUBECONFIG": str(tmp_path / "none")})
    assert (away.returncode, "KUBECONFIG" in away.stderr) == (ExitCode.REFUSED, True)
    assert invoke("plan", *[str(FLOW)] * 3).returncode == ExitCode.USAGE


def test_a_cluster_whose_kubeconfig_or_flow_is_odd_is_told_in_words(tmp_path: Path) -> None:
    """No text in KUBECONFIG ends in a traceback."""
    for text in ("", "[]", "{", "current-context: c", "a: b", "contexts: 3\ncurrent-context: c\nclusters: []\n"):
        (file := tmp_path / "kubeconfig").write_text(text)
        odd = invoke("plan", str(FLOW), "--cluster", env={"KUBECONFIG": str(file)})
        assert (odd.returncode, "no cluster is known" in odd.stderr) == (ExitCode.REFUSED, True), text


def test_an_event_that_leaves_is_told_with_who_hears_it(shop: Json, tmp_path: Path) -> None:
    """It has no schema, so nothing refuses that; an event that nobody hears leaves without a word."""
    spec = shop["spec"]
    spec["events"] = [one for one in spec["events"] if one["name"] != "INVENTORY_UPDATED"]
    heard = [one["name"] for one in spec["services"] if "INVENTORY_UPDATED" in one.get("subscribes", ())]
    for service in spec["services"]:
        service["pace"] = [one for one in service.get("pace", ()) if one["event"] != "INVENTORY_UPDATED"]
        for what in ("subscribes", "publishes"):
            service[what] = [name for name in service.get(what, ()) if name != "INVENTORY_UPDATED"]
    (said,) = plan(shop, tmp_path)["unheard"]
    assert heard
    assert said.startswith(f"INVENTORY_UPDATED leaves the flow: what {', '.join(sorted(heard))} have not read")
