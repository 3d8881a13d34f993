"""One judgement for webhook and reconcile: what cannot be is refused with its place, what is odd is told."""

from typing import Any

import kopf
import pytest

from orderflow_operator.entrypoints.admission import review
from orderflow_operator.kubernetes.cached_object import CachedObject
from orderflow_operator.kubernetes.health import Health, State
from orderflow_operator.kubernetes.kinds import KAFKA_TOPIC, ObjectKey
from orderflow_operator.reconciler.ownership import OwnershipIndex
from orderflow_operator.reconciler.validation import validate
from orderflow_operator.resources import kafkatopic


def test_the_reference_flow_can_be(document: dict[str, Any]) -> None:
    """Nothing is held against it."""
    validation = validate(document, OwnershipIndex(), {})
    assert validation.valid
    assert validation.flow is not None


def test_managed_fields_and_status_are_not_judged(document: dict[str, Any]) -> None:
    """What the API server keeps beside the spec cannot make a flow invalid."""
    document["metadata"]["managedFields"] = [{"anything": True}]
    document["status"] = {"nonsense": [1, 2]}
    assert validate(document, OwnershipIndex(), {}).valid


def test_what_cannot_be_read_is_invalid_with_its_place(document: dict[str, Any]) -> None:
    """The message says where."""
    document["spec"]["services"][0]["scale"] = {"min": 5, "max": 2}
    validation = validate(document, OwnershipIndex(), {})
    assert (validation.flow, validation.reason) == (None, "Invalid")
    assert "spec.services[0].scale" in validation.message


def test_lint_errors_are_invalid(document: dict[str, Any]) -> None:
    """A subscription that nobody publishes refuses the flow."""
    document["spec"]["services"][2]["subscribes"].append("NEVER_SAID")
    validation = validate(document, OwnershipIndex(), {})
    assert validation.reason == "Invalid"
    assert "nobody publishes NEVER_SAID" in validation.message


def test_fewer_partitions_than_the_live_topic_are_refused(document: dict[str, Any]) -> None:
    """Even where the resource never named a number: the topic counts."""
    topic = CachedObject(1, 1, 1, True, Health(State.READY, wanted=24))
    validation = validate(document, OwnershipIndex(), {ObjectKey(KAFKA_TOPIC, "shop.order-created"): topic})
    assert validation.reason == "PartitionDecrease"
    assert "shop.order-created has 24 partitions and cannot shrink to 12" in validation.message


def test_topics_that_would_be_one_object_are_refused(document: dict[str, Any]) -> None:
    """A topic called as another's object is would fight with it for ever."""
    document["spec"]["events"][0]["topic"] = {"name": "Orders_X"}
    document["spec"]["events"][1]["topic"] = {"name": kafkatopic.name("Orders_X")}
    assert "would be one KafkaTopic" in validate(document, OwnershipIndex(), {}).message


def reviewed(new: dict[str, Any], old: dict[str, Any] | None = None) -> list[str]:
    """What the webhook answers: warnings, or its refusal."""
    return review(new, old, lambda raw: validate(raw, OwnershipIndex(), {}))


def test_the_webhook_warns_of_what_is_odd(document: dict[str, Any]) -> None:
    """More consumers than partitions are legal."""
    document["spec"]["services"][2]["scale"] = {"min": 1, "max": 100}
    assert any("would be idle" in warning for warning in reviewed(document))


def test_the_webhook_refuses_with_the_verdicts_words(document: dict[str, Any]) -> None:
    """Reason and place stand in the answer."""
    document["spec"]["services"][2]["subscribes"].append("NEVER_SAID")
    with pytest.raises(kopf.AdmissionError, match=r"Invalid: .*nobody publishes NEVER_SAID"):
        reviewed(document)


def test_the_webhook_lets_a_flow_go(document: dict[str, Any]) -> None:
    """What is being deleted may be as wrong as it is: its finalizer must be taken off."""
    document["spec"]["services"] = []
    document["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert reviewed(document) == []
