"""Lint of topic settings: names and values as Kafka judges them, and what they do to the flow's promise.

Called by `flow`. An error is what Kafka would refuse, or what loses events or stands still when all is well. What costs
something when a broker fails or a service is late, or does nothing at all, is a warning.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orderflow_model.findings import Finding, Place, Severity, did_you_mean, path_of, shortened
from orderflow_model.flow import OrderFlow
from orderflow_model.spec.kafka import Provisioner
from orderflow_model.topic_settings import SETTINGS, SINCE_4_4, normal
from orderflow_model.topics import event_topic

_IN_SYNC = "min.insync.replicas"
_FIELDS = {
    "retention": "retention",
    "log.retention.ms": "retention",
    "log.retention.minutes": "retention",
    "log.retention.hours": "retention",
    "partitions": "partitions",
    "num.partitions": "partitions",
    "replicas": "replicas",
    "replication.factor": "replicas",
    "default.replication.factor": "replicas",
}
"""What the resource has fields of its own for, as people may write it among the settings."""

_VENDORS = ("confluent.", "redpanda.")
"""What brokers that are no Apache Kafka add; they alone can judge it."""

_NEEDS = {
    "compression.gzip.level": ("compression.type", "gzip"),
    "compression.lz4.level": ("compression.type", "lz4"),
    "compression.zstd.level": ("compression.type", "zstd"),
    "delete.retention.ms": ("cleanup.policy", "compact"),
    "max.compaction.lag.ms": ("cleanup.policy", "compact"),
    "min.cleanable.dirty.ratio": ("cleanup.policy", "compact"),
    "min.compaction.lag.ms": ("cleanup.policy", "compact"),
    "local.retention.bytes": ("remote.storage.enable", "true"),
    "local.retention.ms": ("remote.storage.enable", "true"),
    "remote.copy.lag.bytes": ("remote.storage.enable", "true"),
    "remote.copy.lag.ms": ("remote.storage.enable", "true"),
    "remote.log.copy.disable": ("remote.storage.enable", "true"),
}
"""What does nothing without another setting."""


def lint_topics(flow: OrderFlow) -> Iterator[Finding]:
    """Yield what is wrong or odd about the topics' settings, each thing once."""
    unreadable = False
    for place, config in _configs(flow):
        for finding in _one_by_one(config, place, flow.spec.kafka.provisioner):
            unreadable = unreadable or finding.severity is Severity.ERROR
            yield finding
    if not unreadable:
        yield from dict.fromkeys(_together(flow))


def _configs(flow: OrderFlow) -> Iterator[tuple[Place, Mapping[str, str]]]:
    yield ("spec", "defaults", "topic", "config"), flow.spec.defaults.topic.config
    for index, event in enumerate(flow.spec.events):
        yield ("spec", "events", index, "topic", "config"), event.topic.config or {}


def _one_by_one(config: Mapping[str, str], place: Place, provisioner: Provisioner) -> Iterator[Finding]:
    for name, text in config.items():
        path = path_of((*place, name))
        if provisioner is Provisioner.ADMIN and name.startswith(_VENDORS):
            continue
        if name not in SETTINGS:
            yield Finding(path, _unknown(name))
            continue
        try:
            normal(name, text)
        except ValueError as wrong:
            yield Finding(path, f"{shortened(repr(text))} {wrong}")
        if name in SINCE_4_4:
            yield Finding(path, "Kafka 4.3 and older refuse it: it came with 4.4", severity=Severity.WARNING)


def _unknown(name: str) -> str:
    if name in _FIELDS:
        return f"is no setting of a topic; write it as the field {_FIELDS[name]} beside config"
    return f"Kafka knows no such setting of a topic{did_you_mean(name, SETTINGS)}"


def _together(flow: OrderFlow) -> Iterator[Finding]:
    for index in range(len(flow.spec.events)):
        topic = _Settings.of(flow, index)
        for rule in (_copies, _compaction, _segments, _remote, _losses, _idle):
            yield from rule(topic)


@dataclass(frozen=True)
class _Settings:
    """All settings of one event's topic, defaults filled in, and where each of them stands.

    `own_replicas` is where the event says how many copies it has, while min.insync.replicas is the defaults'.
    """

    values: Mapping[str, str]
    replicas: int
    places: Mapping[str, str]
    own_replicas: str | None

    @classmethod
    def of(cls, flow: OrderFlow, index: int) -> "_Settings":
        event = flow.spec.events[index]
        topic = event_topic(flow, event)
        defaults, own = ("spec", "defaults", "topic"), ("spec", "events", index, "topic")
        places = {name: path_of((*defaults, "config", name)) for name in flow.spec.defaults.topic.config}
        places |= {name: path_of((*own, "config", name)) for name in event.topic.config or {}}
        apart = event.topic.replicas is not None and _IN_SYNC not in (event.topic.config or {})
        return cls(topic.config, topic.replicas, places, path_of((*own, "replicas")) if apart else None)

    def number(self, name: str) -> int | None:
        """Return a setting's value, None where nobody names it."""
        return int(self.values[name]) if name in self.values else None

    def named(self, name: str) -> bool:
        """Return whether the resource itself names it."""
        return name in self.places

    def finding(self, name: str, message: str, severity: Severity = Severity.ERROR) -> Finding:
        """Return a finding at the place of a setting that the resource names."""
        return Finding(self.places[name], message, severity=severity)


def _copies(topic: _Settings) -> Iterator[Finding]:
    if not topic.named(_IN_SYNC):
        return
    in_sync, replicas = int(topic.values[_IN_SYNC]), topic.replicas
    if in_sync > replicas:
        message = f"{in_sync} of {replicas} replicas can never be in sync: Kafka would take no event"
        yield Finding(topic.own_replicas or topic.places[_IN_SYNC], message)
    elif in_sync == replicas > 1:
        message = f"all {replicas} replicas must be in sync: while one broker is away, no event is taken"
        yield topic.finding(_IN_SYNC, message, Severity.WARNING)
    elif in_sync == 1 < replicas:
        message = "an event may be acknowledged with one copy, and lost with that broker"
        yield topic.finding(_IN_SYNC, message, Severity.WARNING)


def _compaction(topic: _Settings) -> Iterator[Finding]:
    least, most = topic.number("min.compaction.lag.ms"), topic.number("max.compaction.lag.ms")
    if least is not None and most is not None and least > most:
        yield topic.finding("min.compaction.lag.ms", f"{least} is more than max.compaction.lag.ms, {most}")


def _segments(topic: _Settings) -> Iterator[Finding]:
    event, segment = topic.number("max.message.bytes"), topic.number("segment.bytes")
    if event is not None and segment is not None and event > segment:
        message = f"{event} is more than segment.bytes, {segment}: Kafka takes nothing larger than a segment"
        yield topic.finding("max.message.bytes", message)


def _remote(topic: _Settings) -> Iterator[Finding]:
    if topic.values.get("remote.storage.enable") != "true":
        return
    for unit in ("ms", "bytes"):
        local, kept = topic.number(f"local.retention.{unit}"), topic.number(f"retention.{unit}")
        if local in (None, -2) or kept in (None, -1):
            continue
        if local == -1 or local > kept:
            yield topic.finding(f"local.retention.{unit}", f"{local} keeps more than retention.{unit}, {kept}")
        elif topic.values.get("remote.log.copy.disable") == "true" and local != kept:
            message = f"must be retention.{unit}, {kept}, or -2 while remote.log.copy.disable is true"
            yield topic.finding(f"local.retention.{unit}", message)


def _losses(topic: _Settings) -> Iterator[Finding]:
    size = topic.number("retention.bytes")
    if topic.named("retention.bytes") and size is not None and size >= 0:
        message = (
            f"events go when their partition has more than {size} bytes, before their retention ends: "
            "a service that is late by more than that loses them"
        )
        yield topic.finding("retention.bytes", message, Severity.WARNING)
    if topic.values.get("unclean.leader.election.enable") == "true":
        message = "a broker that was not in sync may take over, and acknowledged events are lost"
        yield topic.finding("unclean.leader.election.enable", message, Severity.WARNING)


def _idle(topic: _Settings) -> Iterator[Finding]:
    for name, (other, value) in _NEEDS.items():
        has = topic.values.get(other)
        if topic.named(name) and has != value:
            message = f"does nothing: it needs {other} {value}" + (f", which is {has}" if has else "")
            yield topic.finding(name, message, Severity.WARNING)
