"""What is remembered of an object tells drift in what we own from changes that are none of our business."""

import copy
from typing import Any

import msgspec
import pytest

from orderflow_operator.kubernetes.cached_object import (
    CachedObject,
    after_apply,
    after_watch,
    digest_of,
    owned,
    written,
)
from orderflow_operator.kubernetes.kinds import DEPLOYMENT

WANTED = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "shop-a", "namespace": "n", "labels": {"orderflow.dev/flow": "shop"}},
    "spec": {"template": {"spec": {"containers": [{"name": "a", "image": "i:1", "command": ["x", "y"]}]}}},
}
FIELDS = {
    "f:metadata": {
        "f:labels": {"f:orderflow.dev/flow": {}},
        "f:annotations": {"f:orderflow.dev/hash": {}},
    },
    "f:spec": {
        "f:template": {
            "f:spec": {
                "f:containers": {'k:{"name":"a"}': {".": {}, "f:name": {}, "f:image": {}, "f:command": {}}},
            }
        }
    },
}


@pytest.fixture
def stored() -> dict[str, Any]:
    """The object as the API server has it after we applied it: with defaults, a status and others' fields."""
    found: dict[str, Any] = copy.deepcopy(WANTED)
    found["metadata"] |= {
        "resourceVersion": "7",
        "annotations": {"orderflow.dev/hash": written(digest_of(WANTED)), "deployment.kubernetes.io/revision": "1"},
        "managedFields": [
            {"manager": "orderflow-operator", "operation": "Apply", "fieldsV1": FIELDS},
            {"manager": "somebody", "operation": "Update", "fieldsV1": {"f:metadata": {}}},
        ],
    }
    container = found["spec"]["template"]["spec"]["containers"][0]
    container["imagePullPolicy"] = "Always"
    found["spec"]["template"]["spec"]["containers"].append({"name": "sidecar", "image": "other"})
    return found


def seen(stored: dict[str, Any], known: CachedObject | None = None) -> CachedObject:
    """What is kept of it when a watch brings it."""
    return after_watch(DEPLOYMENT, msgspec.json.encode(stored), known)[1]


def test_what_we_applied_is_put_together_again(stored: dict[str, Any]) -> None:
    """Defaults, sidecars and status of others are no part of what we own."""
    mine = owned(stored, FIELDS)
    assert mine["spec"] == WANTED["spec"]


def test_an_object_as_applied_is_clean_without_memory(stored: dict[str, Any]) -> None:
    """After a restart nothing has to be written to know that nothing has changed."""
    assert seen(stored).clean


@pytest.mark.parametrize("known", [True, False])
def test_a_changed_field_of_ours_is_drift(stored: dict[str, Any], known: bool) -> None:
    """Whoever changes a field of ours takes it out of our managedFields; it is found with and without memory."""
    before = seen(stored) if known else None
    stored["metadata"]["resourceVersion"] = "8"
    stored["spec"]["template"]["spec"]["containers"][0]["image"] = "i:evil"
    fields = copy.deepcopy(FIELDS)
    del fields["f:spec"]["f:template"]["f:spec"]["f:containers"]['k:{"name":"a"}']["f:image"]
    stored["metadata"]["managedFields"][0]["fieldsV1"] = fields
    assert not seen(stored, before).clean


def test_others_fields_are_no_drift(stored: dict[str, Any]) -> None:
    """Annotations, replicas and status of others leave the object as applied."""
    before = seen(stored)
    stored["metadata"]["annotations"]["person"] = "was here"
    stored["spec"]["replicas"] = 7
    after = seen(stored, before)
    assert after.clean
    assert (after.applied, after.fields) == (before.applied, before.fields)


def test_what_a_webhook_changes_as_we_apply_is_not_fought(stored: dict[str, Any]) -> None:
    """The answer to our own write is how the object is to be, whatever was changed on the way."""
    stored["spec"]["template"]["spec"]["containers"][0]["image"] = "mirror/i:1"
    applied = after_apply(DEPLOYMENT, msgspec.json.encode(stored))[1]
    stored["metadata"]["resourceVersion"] = "9"
    assert applied.clean
    assert seen(stored, applied).clean
    assert not seen(stored, None).clean


def test_an_object_we_never_applied_is_not_clean(stored: dict[str, Any]) -> None:
    """An object that only bears our labels is written once."""
    del stored["metadata"]["managedFields"]
    assert not seen(stored).clean


def test_members_of_a_set_are_found_by_value() -> None:
    """Finalizers and the like are owned one by one."""
    assert owned(["a", "b", "c"], {'v:"b"': {}}) == ["b"]


@pytest.mark.parametrize("counted", [True, False])
def test_whose_the_number_of_pods_is_is_remembered(stored: dict[str, Any], counted: bool) -> None:
    """Ours it is where it stands among our fields, whoever else has an opinion: only then is it handed over."""
    fields = copy.deepcopy(FIELDS)
    fields["f:spec"] |= {"f:replicas": {}} if counted else {}
    stored["metadata"]["managedFields"] = [
        {"manager": "orderflow-operator", "operation": "Apply", "fieldsV1": fields},
        {"manager": "keda", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
    ]
    assert seen(stored).counts is counted
    assert after_apply(DEPLOYMENT, msgspec.json.encode(stored))[1].counts is counted
