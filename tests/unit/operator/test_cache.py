"""What is remembered of a flow's objects, and who hears of what."""

from typing import Any

import msgspec
import pytest

from orderflow_operator.kubernetes.cache import FlowKey, ObjectCache
from orderflow_operator.kubernetes.kinds import KAFKA_TOPIC

SHOP = FlowKey("team-a", "shop")


def topic(version: int, ready: str = "False", **metadata: Any) -> bytes:
    """A topic of the flow as a watch brings it."""
    labels = {"orderflow.dev/flow": "shop"}
    head = {"name": "shop.a", "namespace": "team-a", "resourceVersion": str(version), "labels": labels, **metadata}
    status = {"conditions": [{"type": "Ready", "status": ready}], "observedGeneration": 1}
    return msgspec.json.encode({"metadata": head, "spec": {"partitions": 3}, "status": status})


@pytest.fixture
def told() -> dict[str, list[FlowKey]]:
    """Of which flows was told what."""
    return {"drift": [], "progress": []}


@pytest.fixture
def store(told: dict[str, list[FlowKey]]) -> ObjectCache:
    """A store that knows one topic."""
    made = ObjectCache(told["drift"].append, told["progress"].append)
    made.add_watched(KAFKA_TOPIC, topic(5))
    told["drift"].clear()
    return made


def test_what_only_fares_otherwise_is_progress(store: ObjectCache, told: dict[str, list[FlowKey]]) -> None:
    """It may wait for more of its kind; drift may not."""
    store.add_watched(KAFKA_TOPIC, topic(6, "True"))
    assert told == {"drift": [], "progress": [SHOP]}


def test_another_digest_is_drift(store: ObjectCache, told: dict[str, list[FlowKey]]) -> None:
    """Somebody wrote what we had written."""
    store.add_watched(KAFKA_TOPIC, topic(6, annotations={"orderflow.dev/hash": "ff"}))
    assert told == {"drift": [SHOP], "progress": []}


def test_what_is_gone_is_drift(store: ObjectCache, told: dict[str, list[FlowKey]]) -> None:
    """By a watch, or by a list that does not hold it."""
    store.remove_watched(KAFKA_TOPIC, topic(7))
    assert told["drift"] == [SHOP]
    store.add_watched(KAFKA_TOPIC, topic(8))
    store.retain(KAFKA_TOPIC, None, set(), 9)
    assert told["drift"] == [SHOP] * 3
    assert store.objects(SHOP) == {}


def test_old_news_are_no_news(store: ObjectCache, told: dict[str, list[FlowKey]]) -> None:
    """What a watch brings late does not undo what is known by now."""
    store.add_watched(KAFKA_TOPIC, topic(4, "True"))
    store.remove_watched(KAFKA_TOPIC, topic(3))
    store.retain(KAFKA_TOPIC, None, set(), 4)
    assert told == {"drift": [], "progress": []}
    assert len(store) == 1
