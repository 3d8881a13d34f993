"""What tells whether a log is still the one that a position lies in. `reading.py` asks, by the consumer's client.

A topic that was deleted and made again has another id (KIP-516). A log that lost its end, by a restore or an unclean
election, and was filled again holds another record where the last one was read. Leaders' epochs (KIP-320) tell that
of an election alone: a broker that is restored counts its epochs again. aiokafka asks for no ids, so that version of
the request stands here, in its own terms.
"""

import asyncio
import uuid
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from io import BytesIO
from typing import Any

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    LeaderNotAvailableError,
    NodeNotReadyError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

from orderflow_runtime.core.event_log import Mark, Partition
from orderflow_runtime.kafka.aiokafka_compat import Batches

_CONSUMER, _LATEST, _READ_UNCOMMITTED = -1, -1, 0
_UNKNOWN = uuid.UUID(int=0)


class _Uuid(AbstractType[uuid.UUID]):  # type: ignore[misc]  # aiokafka has no types
    @classmethod
    def encode(cls, value: uuid.UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> uuid.UUID:
        return uuid.UUID(bytes=data.read(16))


class _MetadataResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY, API_VERSION = 3, 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString()),
                ("port", Int32),
                ("rack", CompactString()),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString()),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString()),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _MetadataRequest(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY, API_VERSION, FLEXIBLE_VERSION = 3, 10, True
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("topic", CompactString()), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _Metadata(Request[_MetadataRequest]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 3

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataRequest]) -> _MetadataRequest:
        topics: list[tuple[uuid.UUID, str, dict[int, bytes]]] = [(_UNKNOWN, topic, {}) for topic in self._topics]
        return request_struct_class(topics, False, False, False, {})


async def topic_ids(client: AIOKafkaClient, topics: Collection[str]) -> dict[str, uuid.UUID]:
    """Return the ids of those topics that are there, as any broker knows them; raise `KafkaError`.

    A broker that is too old to have ids gives none.
    """
    if (node := client.get_random_node()) is None:
        raise NodeNotReadyError
    try:
        answer = await _ask(client, node, _Metadata(topics))
    except (IncompatibleBrokerVersion, NotImplementedError):
        return {}
    return {topic: found for error, topic, found, *_ in answer.topics if not error and found != _UNKNOWN}


async def end_offsets(client: AIOKafkaClient, partitions: Collection[Partition]) -> dict[Partition, int]:
    """Return the next offsets to be written, behind open transactions too; raise `KafkaError`."""
    by_leader: defaultdict[int, defaultdict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    for partition in partitions:
        by_leader[leader_of(client, partition)][partition.topic].append((partition.number, _LATEST))
    ends = {}
    for leader, topics in by_leader.items():
        answer = await _ask(client, leader, OffsetRequest(_CONSUMER, _READ_UNCOMMITTED, list(topics.items())))
        for topic, found in answer.topics:
            for number, error, _, end in found:
                _raise(error)
                ends[Partition(topic, number)] = end
    return ends


async def are_there(client: AIOKafkaClient, marks: Mapping[Partition, Mark]) -> dict[Partition, bool]:
    """Return whether these records stand where they were read; what is not kept any more counts as there."""
    found = await asyncio.gather(*(_is_there(client, partition, mark) for partition, mark in marks.items()))
    return dict(zip(marks, found, strict=True))


async def _is_there(client: AIOKafkaClient, partition: Partition, mark: Mark) -> bool:
    error, data = await _fetch(client, partition, mark.offset)
    if for_code(error) is OffsetOutOfRangeError:
        return True
    _raise(error)
    return all(mark_of(one) == mark for one in _records(data) if one.offset == mark.offset)


async def may_read(client: AIOKafkaClient, partition: Partition) -> bool:
    """Return whether a partition's records would be given to us; raise `KafkaError`."""
    error, _ = await _fetch(client, partition, 0)
    return for_code(error) is not TopicAuthorizationFailedError


async def _fetch(client: AIOKafkaClient, partition: Partition, offset: int) -> tuple[int, bytes]:
    """Return the answer's error and, with room for one byte, the one batch that holds the offset."""
    asked = [(partition.topic, [(partition.number, offset, 1)])]
    answer = await _ask(client, leader_of(client, partition), FetchRequest(0, 0, 1, _READ_UNCOMMITTED, asked))
    ((_, ((_, error, *_, data),)),) = answer.topics
    return error, data


def _records(data: bytes) -> Iterator[Any]:
    batches = Batches(data)
    while batches.has_next():
        batch = batches.next_batch()
        if not batch.is_control_batch:
            yield from batch


def mark_of(record: Any) -> Mark:
    """Return what tells one of aiokafka's records from others at its offset."""
    parts = (record.key, record.value, *(body for _, body in record.headers))
    checksum = zlib.crc32(b"%d" % record.timestamp)
    for part in parts:
        checksum = zlib.crc32(part or b"", checksum)
    return Mark(record.offset, checksum)


def leader_of(client: AIOKafkaClient, partition: Partition) -> int:
    """Return the node that leads a partition; raise `KafkaError` while that is not known."""
    leader: int | None = client.cluster.leader_for_partition(TopicPartition(*partition))
    if leader is None or leader < 0:
        raise LeaderNotAvailableError(partition)
    return leader


def _raise(error: int) -> None:
    if error:
        raise for_code(error)


async def _ask(client: AIOKafkaClient, node: int, request: Request[Any]) -> Any:
    """Ask beside the connection on which fetches wait for records."""
    return await client.send(node, request, group=ConnectionGroup.COORDINATION)
