"""Loading: the reference flow is sound, findings name their place, and nothing else ever escapes."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orderflow_model.findings import MOST_SHOWN, InvalidResourceError, Place, path_of, place_of
from orderflow_model.lint.flow import lint
from orderflow_model.loading.load import load_flow, load_with_warnings, parse_flow

SHOP = yaml.safe_load((Path(__file__).parents[3] / "manifests" / "flows" / "shop.yaml").read_text())

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


def places(node: Any, above: Place = ()) -> list[Place]:
    """Every place in plain data."""
    steps = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [above, *(place for step, child in steps for place in places(child, (*above, step)))]


def test_the_reference_flow_has_no_finding(shop_file: Path) -> None:
    """The flow everyone copies from is without error and without warning."""
    flow, warnings = load_with_warnings(shop_file)
    assert warnings == ()
    assert flow.metadata.name == "shop"


def test_text_and_file_give_the_same_flow(shop_file: Path, shop_text: str) -> None:
    """A string is the resource itself, a Path the file that holds it."""
    assert load_flow(shop_text) == load_flow(shop_file)


def test_a_misspelt_subscription_is_named_with_its_place_and_line(shop_text: str) -> None:
    """A subscription that nobody publishes is reported where it stands, with the event that was meant."""
    text = shop_text.replace("subscribes: [STOCK_RESERVED, ORDER", "subscribes: [STOCK_RESREVED, ORDER")
    with pytest.raises(InvalidResourceError) as refused:
        load_flow(text)
    finding = refused.value.findings[0]
    expected = "spec.services[2].subscribes[0]: nobody publishes STOCK_RESREVED; did you mean STOCK_RESERVED?"
    assert str(finding) == expected
    assert finding.line is not None
    assert "STOCK_RESREVED" in text.splitlines()[finding.line - 1]


def test_warnings_come_with_a_sound_flow(shop_text: str) -> None:
    """What is legal but odd does not refuse the flow, and has its line too."""
    flow, warnings = load_with_warnings(shop_text.replace("max: 12", "max: 13"))
    assert flow.service("inventory").scale.max == 13
    assert [finding.path for finding in warnings] == ["spec.services[1].scale.max"]
    assert warnings[0].line is not None


def test_endless_findings_are_cut_to_what_a_person_reads() -> None:
    """A resource of a thousand unknown fields gives no more findings than are shown."""
    with pytest.raises(InvalidResourceError) as refused:
        parse_flow({f"x{number}": number for number in range(1000)})
    assert len(refused.value.findings) == MOST_SHOWN


def test_a_number_too_long_to_print_is_described(edited: Any) -> None:
    """A number of thousands of digits is refused by its size, not printed."""
    with pytest.raises(InvalidResourceError, match="a number of 20001 bits"):
        parse_flow(edited({"spec.defaults.topic.partitions": 1 << 20_000}))


@pytest.mark.parametrize(("value", "words"), [({"a": 1}, "a mapping of 1"), ([1, 2], "a list of 2")])
def test_a_misplaced_collection_is_described_by_its_size(edited: Any, value: Any, words: str) -> None:
    """Where a scalar belongs, a collection is named by kind and size instead of being printed."""
    with pytest.raises(InvalidResourceError, match=words):
        parse_flow(edited({"spec.deletionPolicy": value}))


def test_a_bottomless_schema_is_refused(edited: Any) -> None:
    """Data nested deeper than can be walked ends in a finding."""
    node: dict[str, Any] = {}
    node["again"] = node
    with pytest.raises(InvalidResourceError):
        parse_flow(edited({"spec.events[0].schema": node}))


@given(st.text(max_size=200))
def test_any_text_loads_or_is_refused(text: str) -> None:
    """No text makes loading raise anything but InvalidResourceError."""
    with pytest.raises(InvalidResourceError):
        load_flow(text)


@given(st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_damage_to_the_reference_flow_loads_or_is_refused(data: st.DataObject) -> None:
    """Any value at any place gives a flow that can be linted, or InvalidResourceError, never another error."""
    damaged = json.loads(json.dumps(SHOP))
    *above, last = data.draw(st.sampled_from(places(damaged)[1:]))
    node = damaged
    for step in above:
        node = node[step]
    node[last] = data.draw(JSON)
    with suppress(InvalidResourceError):
        lint(parse_flow(damaged))


@given(st.lists(st.integers(0, 99) | st.from_regex(r"[A-Za-z0-9_-]{1,9}", fullmatch=True), max_size=6))
def test_a_path_reads_back_as_the_place_it_was_written_for(steps: list[str | int]) -> None:
    """Writing a place and reading the path gives the place again."""
    assert place_of(path_of(tuple(steps))) == tuple(steps)


@pytest.mark.parametrize(
    ("path", "place", "words"),
    [
        ("spec.saga.deadlin", "spec.saga.deadlin", "did you mean deadline?"),
        ("spec.services[0].delivery.maxdelay", "spec.services[0].delivery.maxdelay", "did you mean maxDelay?"),
        ("spec.events[0].topic.config.a.b", "spec.events[0].topic.config.a", "string"),
        ("spec.zzz", "spec.zzz", "unknown field"),
    ],
)
def test_an_unknown_field_is_answered_with_the_one_that_was_meant(
    edited: Any, path: str, place: str, words: str
) -> None:
    """A misspelt field is refused with the field of that part that comes closest, if any does."""
    with pytest.raises(InvalidResourceError) as refused:
        parse_flow(edited({path: "x"}))
    found = {finding.path: finding.message for finding in refused.value.findings}
    assert words in found[place]
