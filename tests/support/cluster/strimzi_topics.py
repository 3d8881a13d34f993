"""The double of Strimzi's topic operator. tests/controlplane/STRIMZI.md lists what it does as the real one does."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from support.cluster.api import Json
from support.cluster.kafka_books import TopicState
from support.cluster.strimzi_loop import PAUSED, Reconciler, Refused, annotation, condition, is_paused, seen_generation

FINALIZER = "strimzi.io/topic-operator"
_THROTTLED = ("follower.replication.throttled.replicas", "leader.replication.throttled.replicas")
_OF_THE_BROKER = -1


class TopicOperator(Reconciler):
    """Keeps the topics of its cluster as their KafkaTopics say."""

    kind = "KafkaTopic"

    async def reconcile(self, name: str, item: Json | None, others: Sequence[Json]) -> None:
        """Make, alter or delete a topic, and answer."""
        if item is None:
            return  # its finalizer went when its topic had gone
        if "deletionTimestamp" in item["metadata"]:
            await self._end(item)
        elif not _is_managed(item):
            await self._finalizers(item, [FINALIZER])
            await self.answer(item, [condition("Unmanaged")], item["metadata"]["generation"], topicName=None)
        else:
            await self._keep(item, others)

    async def _keep(self, item: Json, others: Sequence[Json]) -> None:
        more: dict[str, str | None] = {"topicName": item.get("status", {}).get("topicName") or _topic(item)}
        generation, conditions = item["metadata"]["generation"], [condition("Ready")]
        try:
            _check_name(item)
            _check_owner(item, others)
            if is_paused(item):
                generation, conditions = seen_generation(item), [condition(PAUSED)]
            else:
                await self._finalizers(item, [FINALIZER])
                more |= await self._make_true(_topic(item), item["spec"])
                conditions += _warnings(item["spec"])
        except Refused as refused:
            conditions = [condition("Ready", refused, "False")]
        await self.answer(item, conditions, generation, **more)

    async def _make_true(self, topic: str, spec: Json) -> dict[str, str]:
        """Create or alter a topic; give what its status says of a new one."""
        if topic in self.site.refusals:
            raise self.site.refusals[topic]
        kafka = self.site.kafka
        state: TopicState | None = await self.site.ask(kafka.topic, topic)
        if state is None:
            sizes = spec.get("partitions", _OF_THE_BROKER), spec.get("replicas", _OF_THE_BROKER)
            return {"topicId": await self.site.ask(kafka.create_topic, topic, *sizes, _settings(spec))}
        refusals = [*_impossible(spec, state), *await self._alter(topic, spec, state)]
        if refusals:
            raise refusals[0]
        return {}

    async def _alter(self, topic: str, spec: Json, state: TopicState) -> list[Refused]:
        """Do what can be done of an edit, whatever else of it is refused."""
        kafka, calls, refusals = self.site.kafka, [], []
        if changes := _changes(_settings(spec), state):
            calls.append((kafka.alter_settings, topic, changes))
        if spec.get("partitions", _OF_THE_BROKER) > state.partitions:
            calls.append((kafka.add_partitions, topic, spec["partitions"]))
        for call in calls:
            try:
                await self.site.ask(*call)
            except Refused as refused:
                refusals.append(refused)
        return refusals

    async def _end(self, item: Json) -> None:
        """Delete a topic and let its resource go; a paused one too, and one of which another is the older owner."""
        if _is_managed(item):
            try:
                _check_name(item)
                await self.site.ask(self.site.kafka.delete_topic, _topic(item))
            except Refused as refused:
                told = [condition("Ready", refused, "False")]
                await self.answer(item, told, item["metadata"]["generation"])
                return
        await self._finalizers(item, [])

    async def _finalizers(self, item: Json, wanted: list[str]) -> None:
        present = item["metadata"].get("finalizers", [])
        others = [name for name in present if name != FINALIZER]
        if sorted(present) != sorted(others + wanted):
            change = {"metadata": {"finalizers": others + wanted}}
            await self.site.api.patch(self.kind, self.site.namespace, item["metadata"]["name"], change)


def _topic(item: Json) -> str:
    return str(item["spec"].get("topicName") or item["metadata"]["name"])


def _is_managed(item: Json) -> bool:
    return annotation(item, "strimzi.io/managed") != "false"


def _check_name(item: Json) -> None:
    if item.get("status", {}).get("topicName", _topic(item)) != _topic(item):
        raise Refused("NotSupported", "Changing spec.topicName is not supported")


def _check_owner(item: Json, others: Sequence[Json]) -> None:
    """Refuse a resource whose topic an older one has; of two of one second, the one that is Ready is the older."""
    conflicts = [one for one in others if _is_managed(one) and _topic(one) == _topic(item)]
    claims = ((*_age(one), one["metadata"]["name"]) for one in conflicts)
    first, *rest = sorted(claims)
    mine = first[2] == item["metadata"]["name"]
    if rest and not (mine and first[:2] != rest[0][:2]):
        oldest = f"Ref{{namespace='{item['metadata']['namespace']}', name='{first[2]}'}}"
        raise Refused("ResourceConflict", f"Managed by {oldest}")


def _age(item: Json) -> tuple[str, bool]:
    told = item.get("status", {}).get("conditions", ())
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in told)
    return item["metadata"]["creationTimestamp"], not ready


def _settings(spec: Json) -> dict[str, str]:
    return {key: _text(value) for key, value in spec.get("config", {}).items()}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _changes(wanted: Mapping[str, str], state: TopicState) -> dict[str, str | None]:
    """Give what to set, and what to unset (None) because the resource does not name it."""
    put = {key: value for key, value in wanted.items() if state.settings.get(key) != value}
    return put | dict.fromkeys(state.own - wanted.keys())


def _impossible(spec: Json, state: TopicState) -> Iterator[Refused]:
    if 0 < spec.get("partitions", _OF_THE_BROKER) < state.partitions:
        yield Refused("NotSupported", "Decreasing partitions not supported")
    if spec.get("replicas", state.replicas) != state.replicas:
        needed = f"required for partitions {list(range(state.partitions))}"
        yield Refused("NotSupported", f"Replication factor change not supported, but {needed}")


def _warnings(spec: Json) -> list[Json]:
    named = (one for one in _THROTTLED if one in spec.get("config", {}))
    words = (f"Property {one} may conflict with throttled rebalances" for one in named)
    return [condition("Warning", Refused("InvalidConfig", message)) for message in words]
