"""What lint says of topic settings: Kafka's own rules with their place, and what a setting costs."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderflow_model.findings import Finding, Severity
from orderflow_model.flow import OrderFlow
from orderflow_model.lint.flow import lint
from orderflow_model.loading.load import load_flow, parse_flow
from orderflow_model.topic_changes import FOUND, Ours, setting_changes
from orderflow_model.topic_settings import SETTINGS, normal, written
from orderflow_model.topics import event_topic, flow_topics

Edit = Callable[..., dict[str, Any]]

OWN, DEFAULTS = "spec.events[0].topic", "spec.defaults.topic"
ADMIN = {"provisioner": "Admin", "bootstrapServers": ["kafka:9092"]}


def findings(document: dict[str, Any]) -> dict[str, Finding]:
    """Return the findings about topics by their path, the worst of each place."""
    found = reversed(lint(parse_flow(document)))
    return {finding.path: finding for finding in found if ".topic" in finding.path}


REFUSED = [
    ({"max.message.byte": "2000000"}, "max.message.byte", "did you mean max.message.bytes?"),
    ({"segmentms": "1"}, "segmentms", "did you mean segment.ms?"),
    ({"message.max.bytes": "2000000"}, "message.max.bytes", "knows no such setting"),
    ({"internal.segment.bytes": "2000000"}, "internal.segment.bytes", "knows no such setting"),
    ({"message.format.version": "3.0"}, "message.format.version", "knows no such setting"),
    ({"confluent.key.schema.validation": "true"}, "confluent.key.schema.validation", "knows no such setting"),
    ({"retention": "1h"}, "retention", "the field retention"),
    ({"num.partitions": "3"}, "num.partitions", "the field partitions"),
    ({"replication.factor": "3"}, "replication.factor", "the field replicas"),
    ({"max.message.bytes": "1MB"}, "max.message.bytes", "'1MB' is no whole number"),
    ({"max.message.bytes": "1e6"}, "max.message.bytes", "is no whole number"),
    ({"max.message.bytes": "1_000_000"}, "max.message.bytes", "is no whole number"),
    ({"max.message.bytes": "2147483648"}, "max.message.bytes", "between 0 and 2147483647"),
    ({"max.message.bytes": ""}, "max.message.bytes", "'' is no whole number"),
    ({"segment.ms": "0"}, "segment.ms", "between 1 and 9223372036854775807"),
    ({"segment.ms": "1h"}, "segment.ms", "'1h' is no whole number"),
    ({"segment.bytes": "1024"}, "segment.bytes", "between 1048576 and"),
    ({"preallocate": "yes"}, "preallocate", "must be true or false"),
    ({"min.cleanable.dirty.ratio": "50%"}, "min.cleanable.dirty.ratio", "is no decimal number"),
    ({"min.cleanable.dirty.ratio": "1.5"}, "min.cleanable.dirty.ratio", "between 0 and 1"),
    ({"min.cleanable.dirty.ratio": "NaN"}, "min.cleanable.dirty.ratio", "is no decimal number"),
    ({"compression.type": "GZIP"}, "compression.type", "must be one of uncompressed, zstd"),
    ({"compression.type": "none"}, "compression.type", "must be one of uncompressed, zstd"),
    (
        {"compression.type": "gzip", "compression.gzip.level": "0"},
        "compression.gzip.level",
        "between 1 and 9, or be -1",
    ),
    ({"message.timestamp.type": "createtime"}, "message.timestamp.type", "CreateTime, LogAppendTime"),
    ({"leader.replication.throttled.replicas": "all"}, "leader.replication.throttled.replicas", "partition:broker"),
    ({"min.insync.replicas": "4"}, "min.insync.replicas", "4 of 3 replicas"),
    ({"min.insync.replicas": "0"}, "min.insync.replicas", "between 1 and"),
    ({"min.compaction.lag.ms": "9", "max.compaction.lag.ms": "8"}, "min.compaction.lag.ms", "more than max.compaction"),
    ({"max.message.bytes": "3000000", "segment.bytes": "2000000"}, "max.message.bytes", "larger than a segment"),
    ({"remote.storage.enable": "true", "local.retention.ms": "99999999999"}, "local.retention.ms", "keeps more than"),
    (
        {"remote.storage.enable": "true", "remote.log.copy.disable": "true", "local.retention.ms": "5"},
        "local.retention.ms",
        "or -2 while remote.log.copy.disable",
    ),
]

ODD = [
    ({"min.insync.replicas": "3"}, "min.insync.replicas", "no event is taken"),
    ({"min.insync.replicas": "1"}, "min.insync.replicas", "acknowledged with one copy"),
    ({"retention.bytes": "1000000"}, "retention.bytes", "before their retention ends"),
    ({"unclean.leader.election.enable": "TRUE"}, "unclean.leader.election.enable", "acknowledged events are lost"),
    ({"compression.zstd.level": "3"}, "compression.zstd.level", "needs compression.type zstd"),
    (
        {"compression.type": "lz4", "compression.zstd.level": "3"},
        "compression.zstd.level",
        "needs compression.type zstd, which is lz4",
    ),
    ({"min.cleanable.dirty.ratio": "0.5"}, "min.cleanable.dirty.ratio", "cleanup.policy compact, which is delete"),
    ({"local.retention.ms": "5"}, "local.retention.ms", "needs remote.storage.enable true"),
    ({"max.decompressed.message.bytes": "5"}, "max.decompressed.message.bytes", "came with 4.4"),
]


@pytest.mark.parametrize("where", [OWN, DEFAULTS])
@pytest.mark.parametrize(("config", "name", "words"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_kafka_would_refuse_is_an_error_in_its_place(
    edited: Edit, where: str, config: dict[str, str], name: str, words: str
) -> None:
    """Named where it stands, in the defaults or at the event, and once however many events there are."""
    found = {
        path: one for path, one in findings(edited({f"{where}.config": config})).items() if one.severity == "error"
    }
    assert list(found) == [f'{where}.config["{name}"]' if "." in name else f"{where}.config.{name}"]
    (finding,) = found.values()
    assert words in finding.message


@pytest.mark.parametrize(("config", "name", "words"), ODD, ids=lambda value: str(value)[:60])
def test_what_costs_or_does_nothing_is_a_warning(edited: Edit, config: dict[str, str], name: str, words: str) -> None:
    """The flow is taken, and its author told."""
    found = findings(edited({f"{OWN}.config": config}))
    finding = found[f'{OWN}.config["{name}"]']
    assert words in finding.message
    assert finding.severity is Severity.WARNING


def test_copies_are_counted_with_the_defaults_filled_in(edited: Edit) -> None:
    """One replica of an event contradicts what the defaults ask to be in sync, and is said at the event."""
    found = findings(edited({f"{DEFAULTS}.config": {"min.insync.replicas": "2"}, f"{OWN}.replicas": 1}))
    assert "2 of 1 replicas can never be in sync" in found[f"{OWN}.replicas"].message


@pytest.mark.parametrize("config", [{"confluent.key.schema.validation": "true"}, {"redpanda.remote.read": "x"}])
def test_settings_of_other_makers_are_left_to_their_brokers(edited: Edit, config: dict[str, str]) -> None:
    """With the provisioner Admin the broker may be any that speaks Kafka's protocol."""
    document = edited({"spec.kafka": ADMIN, f"{OWN}.config": config})
    assert findings(document) == {}
    assert event_topic(parse_flow(document), parse_flow(document).spec.events[0]).config.items() >= config.items()


def test_a_finding_names_the_line(shop_text: str) -> None:
    """The place in the file is where the setting stands."""
    text = shop_text.replace("  defaults:", "  defaults:", 1)
    lines = text.splitlines()
    (at,) = (index for index, line in enumerate(lines) if line.startswith("  events:"))
    lines[at + 1 : at + 1] = ["    - name: ODD", "      topic:", "        config:", '          segment.mss: "5"']
    with pytest.raises(ValueError, match=r"segment\.ms") as refused:
        load_flow("\n".join(lines))
    assert any(finding.line == at + 5 for finding in refused.value.findings)  # type: ignore[attr-defined]  # the error is an InvalidResource


def test_the_promise_does_not_hang_on_the_brokers_defaults(shop: OrderFlow) -> None:
    """Each topic says itself that nothing is compacted away and that no size ends its retention."""
    for topic in flow_topics(shop):
        assert topic.config.items() >= {"cleanup.policy": "delete", "retention.bytes": "-1"}.items()


VALUES = st.one_of(
    st.integers(-2, 2**63).map(str),
    st.integers(0, 2**31).map("{:+025d}".format),
    st.floats(0, 1).map(repr),
    st.sampled_from(["TRUE", "False", " true ", "0.50", ".5", "5.0e-1d", "gzip", " delete , compact", "*", "0:1, 1:2"]),
    st.text(max_size=12),
)


@given(name=st.sampled_from([*SETTINGS]), value=VALUES)
def test_a_written_value_counts_as_written(name: str, value: str) -> None:
    """What Kafka gives back for a value is what that value would be written as, again and again."""
    once = written(name, value)
    assert written(name, once) == once
    assert setting_changes({name: value}, {name: once}, FOUND).put == {}


@given(name=st.sampled_from([*SETTINGS]), value=VALUES)
def test_other_values_are_never_taken_for_the_same(name: str, value: str) -> None:
    """A difference that Kafka sees is seen."""
    try:
        there = normal(name, value)
    except ValueError:
        return
    other = {"0": "1", "true": "false", "false": "true"}.get(there, "0")
    assert (setting_changes({name: other}, {name: there}, FOUND).put == {}) == (written(name, other) == there)


def test_what_nobody_wants_goes_and_what_others_set_stays() -> None:
    """A name that the resource no longer has goes back to the default: any on our topic, ours on another's."""
    has = {"segment.ms": "5", "preallocate": "true", "flush.ms": "1"}
    for ours, reset in (
        (Ours(made=True), ("flush.ms", "preallocate")),
        (Ours(settings=frozenset({"preallocate", "index.interval.bytes"})), ("preallocate",)),
        (FOUND, ()),
    ):
        changes = setting_changes({"segment.ms": "5"}, has, ours)
        assert (changes.put, changes.reset) == ({}, reset)
