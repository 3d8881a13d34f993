"""What a flow wants is made anew where something of it changed, and not for each turn."""

from typing import Any

from orderflow_model.loading.load import parse_flow
from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.reconciler.wanted import WantedObjects
from orderflow_operator.resources.build_context import BuildContext, Database
from orderflow_operator.resources.desired import desired

KEY = FlowKey("team-a", "shop")
BUILD = BuildContext(database=Database())


def test_turns_that_only_see_another_status_share_the_objects(document: dict[str, Any]) -> None:
    """The version of the resource changes with each write of its status, and nothing that is wanted does."""
    wanted = WantedObjects()
    first = wanted.of(KEY, parse_flow(document), BUILD)
    document["metadata"]["resourceVersion"] = "7"
    assert wanted.of(KEY, parse_flow(document), BUILD) is first


def test_what_changed_is_made_anew(document: dict[str, Any]) -> None:
    """An edit, another context and another flow of the name each give what `desired` gives."""
    wanted = WantedObjects()
    wanted.of(KEY, parse_flow(document), BUILD)
    document["spec"]["services"][0]["image"] = "other:2"
    edited = parse_flow(document)
    assert wanted.of(KEY, edited, BUILD) == desired(edited, BUILD)
    scaled = BuildContext(keda=True, database=Database())
    assert wanted.of(KEY, edited, scaled) == desired(edited, scaled)


def test_few_flows_are_remembered(document: dict[str, Any]) -> None:
    """A thousand flows' objects are not kept: the first one's are made again."""
    wanted, flow = WantedObjects(), parse_flow(document)
    first = wanted.of(KEY, flow, BUILD)
    for number in range(50):
        wanted.of(FlowKey("team-a", f"flow-{number}"), flow, BUILD)
    assert wanted.of(KEY, flow, BUILD) is not first
