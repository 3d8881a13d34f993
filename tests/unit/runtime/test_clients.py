"""aiokafka's clients when a broker dies under them, on the event loop that services run on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvloop
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionResponse_v0, ListGroupsRequest
from aiokafka.protocol.metadata import MetadataRequest_v1, MetadataResponse_v1

from orderflow_runtime.core.event_log import LogUnavailable, Message
from orderflow_runtime.kafka.aiokafka_compat import Connection
from orderflow_runtime.kafka.handover import Handover
from orderflow_runtime.kafka.kafka_log import KafkaLog, KafkaSettings


def test_a_write_on_a_connection_that_has_just_closed_is_a_lost_connection() -> None:
    """The loop's RuntimeError would kill the task that writes; a lost connection is what aiokafka makes up for."""
    uvloop.run(_write_on_a_closed_connection())


async def _write_on_a_closed_connection() -> None:
    server = await asyncio.start_server(lambda _, writer: None, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    connection = Connection(host, port, request_timeout_ms=1000)
    connection._reader, connection._writer = await asyncio.open_connection(host, port)
    connection._read_task = asyncio.create_task(asyncio.sleep(60))  # has not noticed yet
    connection._versions = {ListGroupsRequest.API_KEY: (0, 0)}
    connection._writer.transport.abort()
    await asyncio.sleep(0.01)
    with pytest.raises(KafkaConnectionError):
        connection.send(ListGroupsRequest())
    assert not connection.connected()
    server.close()


async def test_a_cluster_that_names_no_broker_is_not_reached_yet() -> None:
    """A broker that the controllers have not let in answers without any: who starts or publishes hears why, at once."""
    async with _fenced_broker() as address:
        log = KafkaLog(KafkaSettings(address, "g", ("t",)), Handover())
        try:
            with pytest.raises(LogUnavailable, match=f"{address}: .* the controllers let no broker in"):
                async with asyncio.timeout(5):
                    await log.start(_nothing_is_owed)
            with pytest.raises(LogUnavailable, match="the controllers let no broker in"):
                async with asyncio.timeout(5):
                    await log.publish([Message("t", b"k", [], b"v")])
        finally:
            await log.stop()


async def _nothing_is_owed(_: object) -> None:
    """Give nothing back."""


@asynccontextmanager
async def _fenced_broker() -> AsyncIterator[str]:
    """Answer as a broker does until the controllers let it in; gives its address."""
    server = await asyncio.start_server(_answer_without_brokers, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server:
        yield f"{host}:{port}"


async def _answer_without_brokers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Tell the versions spoken here, and of a cluster of no brokers, to whoever asks."""
    try:
        while size := await reader.readexactly(4):
            request = await reader.readexactly(int.from_bytes(size))
            metadata = int.from_bytes(request[:2]) == MetadataRequest_v1.API_KEY
            body = MetadataResponse_v1([], -1, []) if metadata else ApiVersionResponse_v0(0, [(3, 1, 1), (18, 0, 0)])
            answer = request[4:8] + body.encode()
            writer.write(len(answer).to_bytes(4) + answer)
    except asyncio.IncompleteReadError:
        writer.close()
