"""aiokafka's clients when a broker dies under them, on the event loop that services run on."""

import asyncio

import pytest
import uvloop
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ListGroupsRequest

from orderflow_runtime.kafka.clients import Connection


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
