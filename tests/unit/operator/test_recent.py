"""What follows from a flow's resource is worked out anew where something of it changed, and not for each turn."""

from functools import partial
from typing import Any

from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.kubernetes.wanted_object import WantedObject
from orderflow_operator.reconciler.ownership import OwnershipIndex
from orderflow_operator.reconciler.recent import Recent
from orderflow_operator.reconciler.validation import Reading, validate
from orderflow_operator.resources.build_context import BuildContext, Database
from orderflow_operator.resources.desired import desired

KEY = FlowKey("team-a", "shop")
BUILD = BuildContext(database=Database())


def test_turns_that_only_see_another_status_share_what_the_resource_says(document: dict[str, Any]) -> None:
    """Version, managers and status change with each write of the status, and nothing that is wanted does."""
    readings: Recent[Reading] = Recent()
    first = validate(document, OwnershipIndex(), {}, readings).flow
    document["metadata"] |= {"resourceVersion": "7", "managedFields": [{"manager": "orderflow-operator"}]}
    document["status"] = {"observedGeneration": 1}
    assert validate(document, OwnershipIndex(), {}, readings).flow is first


def test_what_changed_is_made_anew(document: dict[str, Any]) -> None:
    """An edit, an annotation, another flow of the name and another context each give what a first turn would."""
    readings: Recent[Reading] = Recent()
    wanted: Recent[list[WantedObject]] = Recent()
    for change in (
        {"spec": document["spec"] | {"deletionPolicy": "Delete"}},
        {"metadata": document["metadata"] | {"annotations": {"orderflow.dev/allow-breaking": "ORDER_CREATED"}}},
        {"metadata": document["metadata"] | {"uid": "another"}},
    ):
        validate(document, OwnershipIndex(), {}, readings)
        changed = validate(document | change, OwnershipIndex(), {}, readings)
        assert changed == validate(document | change, OwnershipIndex(), {})
        assert changed.flow is not None
        for build in (BUILD, BuildContext(keda=True, database=Database())):
            found = wanted.of(KEY, (changed.flow, build), partial(desired, changed.flow, build))
            assert found == desired(changed.flow, build)


def test_what_cannot_be_read_is_told_at_each_turn(document: dict[str, Any]) -> None:
    """A resource that is none leaves nothing behind that a sound one before or after it would be taken for."""
    readings: Recent[Reading] = Recent()
    broken = document | {"spec": {}}
    for _ in range(2):
        assert validate(document, OwnershipIndex(), {}, readings).valid
        assert not validate(broken, OwnershipIndex(), {}, readings).valid


def test_few_flows_are_remembered() -> None:
    """What a thousand flows want is not kept: the first one's is made again."""
    recent: Recent[object] = Recent()
    first = recent.of(KEY, "basis", object)
    for number in range(50):
        recent.of(FlowKey("team-a", f"flow-{number}"), "basis", object)
    assert recent.of(KEY, "basis", object) is not first
