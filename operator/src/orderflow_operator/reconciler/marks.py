"""Marks of what is a flow's own at a Kafka without Strimzi: a topic by the id that Kafka gave it, a user by its name.

Kafka has nowhere to write whose a topic is. The marks stand in a ConfigMap beside the flow, by the id of the Kafka
itself, so that no other spelling of its address is another Kafka. It outlives the flow, as topics do, and whoever may
only write OrderFlows cannot write it. What is not marked is somebody else's, unless its owner granted it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from orderflow_model.flow import GROUP, OrderFlow
from orderflow_model.status import FlowStatus
from orderflow_operator.kafka.admin import Found
from orderflow_operator.kafka.client import Login
from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.kubernetes.errors import MarksLostError, MarksUnreadableError
from orderflow_operator.kubernetes.kinds import CONFIG_MAP, ObjectKey
from orderflow_operator.kubernetes.labels import Object, owner_reference
from orderflow_operator.kubernetes.objects import ObjectClient

GRANTS = "orderflow.adoptions"
"""The ConfigMap in which a topic's owner grants it: by flow, the topics' names, with blanks between."""


_UNPROVEN = ".unproven"


@dataclass(frozen=True)
class Mark:
    """What is a flow's at one Kafka. `making`: topics that were not there and may have been made since."""

    topics: Mapping[str, str] = field(default_factory=dict)
    making: tuple[str, ...] = ()
    users: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.topics or self.making or self.users)

    def holding(self, found: Found) -> dict[str, str]:
        """Return those topics that are there and still the ones marked, by name with their ids."""
        topics = found.topics.items()
        return {name: id_ for name, id_ in topics if name in self.making or self.topics.get(name) == id_}

    def claiming(self, found: Found, topics: Collection[str], users: Collection[str]) -> "Mark":
        """Return the mark to write before anything is made: what is not there yet is about to be the flow's."""
        gone = {name: id_ for name, id_ in self.topics.items() if name in topics and name not in found.topics}
        missing = tuple(sorted(set(topics) - found.topics.keys()))
        return Mark(self.holding(found) | gone, missing, tuple(sorted({*self.users, *(set(users) - found.users)})))

    def settled(self, made: Mapping[str, str], unanswered: Collection[str]) -> "Mark":
        """Return the mark once Kafka has answered: what was made has an id, what it refused is not the flow's."""
        making = tuple(name for name in self.making if name in unanswered)
        return replace(self, topics={**self.topics, **made}, making=making)

    def without(self, topics: Collection[str], users: Collection[str]) -> "Mark":
        """Return the mark when these are gone."""
        return Mark(
            {name: id_ for name, id_ in self.topics.items() if name not in topics},
            tuple(name for name in self.making if name not in topics),
            tuple(name for name in self.users if name not in users),
        )


def other_kafkas(marks: Mapping[str, Mark], kafka: str) -> list[str]:
    """Return at which Kafkas a flow has something, if it has nothing at this one.

    Who begins to prove who it is has moved to no other.
    """
    if marks.get(kafka):
        return []
    return [one for one, mark in marks.items() if mark and one != f"{kafka}{_UNPROVEN}"]


def kafka_of(found: Found, login: Login) -> str:
    """Return what tells a Kafka from all others: its id.

    Without a password anybody may have answered, for a certificate's authority may sign an author's own too: what such
    a one said is no mark at the real one. A login goes only where its owner lets it.
    """
    return found.cluster if login.mechanism else f"{found.cluster}{_UNPROVEN}"


class Marks:
    """Reads and writes the ConfigMaps."""

    def __init__(self, cluster: ObjectClient) -> None:
        self._cluster = cluster

    async def of(self, key: FlowKey, before: FlowStatus) -> dict[str, Mark] | None:
        """Read the marks of a flow, by Kafka; None where none were ever written, empty where nothing is left.

        `before` is the flow's status, which tells of a Kafka where they were. Raise `FlowError`.
        """
        found = await self._cluster.current(key, ObjectKey(CONFIG_MAP, marks_name(key)))
        if found is None and before.kafka:
            raise MarksLostError(key, marks_name(key), before.kafka.id)
        if found is None:
            return None
        labels = found["metadata"].get("labels") or {}
        if not _labels(key).items() <= labels.items():
            raise MarksUnreadableError(marks_name(key), "it is somebody else's")
        return {kafka: _read(key, kafka, text) for kafka, text in (found.get("data") or {}).items()}

    async def write(self, key: FlowKey, flow: OrderFlow, marks: Mapping[str, Mark]) -> None:
        """Write all marks of a flow. That there are none is written too, else its status would tell what it had.

        They have been read in the same turn: what is somebody else's is not overwritten.
        """
        data = {kafka: msgspec.json.encode(mark, order="sorted").decode() for kafka, mark in marks.items() if mark}
        await self._cluster.write_config(key, _built(key, flow, data))

    async def granted(self, key: FlowKey) -> frozenset[str]:
        """Read which topics their owners granted to the flow."""
        data = await self._cluster.config(key.namespace, GRANTS) or {}
        return frozenset(data.get(key.name, "").split())


def marks_name(key: FlowKey) -> str:
    """Return the name of the ConfigMap in which a flow's marks stand."""
    return f"{key.name}.kafka"


def _labels(key: FlowKey) -> dict[str, str]:
    return {"app.kubernetes.io/part-of": key.name, "app.kubernetes.io/component": "marks"}


def _read(key: FlowKey, kafka: str, text: str) -> Mark:
    try:
        return msgspec.json.decode(text, type=Mark)
    except msgspec.DecodeError as error:
        raise MarksUnreadableError(marks_name(key), f"what stands under {kafka} is no mark: {error}") from None


def _built(key: FlowKey, flow: OrderFlow, data: dict[str, str]) -> Object:
    """Return the ConfigMap; one that says nothing goes with the flow."""
    metadata: Object = {
        "name": marks_name(key),
        "namespace": key.namespace,
        "labels": _labels(key),
        "annotations": {f"{GROUP}/about": "what the flow has at its Kafka; without it the flow has nothing there"},
    }
    metadata |= {} if data else {"ownerReferences": [owner_reference(flow)]}
    return CONFIG_MAP.type_meta | {"metadata": metadata, "data": data}
