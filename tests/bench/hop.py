"""One hop of the bare pipeline, a process of its own: reads a topic, writes as many messages of given bytes to another.

`limit_kafka.py` starts `hop.py BOOTSTRAP FROM TO TEMPLATE`, where TEMPLATE is a file with one packed message.
"""

import asyncio
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from orderflow_runtime.core.event_log import Message, partition_of, unpack
from orderflow_runtime.kafka.writing import BATCH_BYTES


async def run(bootstrap: str, source: str, target: str, template: Message) -> None:
    """Pass on for ever; while a batch is on its way the next is read."""
    consumer = AIOKafkaConsumer(
        source, bootstrap_servers=bootstrap, group_id=f"bench-{source}", auto_offset_reset="earliest"
    )
    producer = new_producer(bootstrap)
    await producer.start()
    await consumer.start()
    print("ready", flush=True)
    sending: list[asyncio.Future[Any]] = []
    while True:
        found = await consumer.getmany(timeout_ms=1000, max_records=500)
        keys = [record.key for records in found.values() for record in records]
        await asyncio.gather(*sending)
        sending = await send(producer, target, [(key, template) for key in keys])


def new_producer(bootstrap: str) -> AIOKafkaProducer:
    """A producer with the settings of ours."""
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, max_batch_size=BATCH_BYTES
    )


async def send(
    producer: AIOKafkaProducer, topic: str, messages: list[tuple[bytes, Message]]
) -> list["asyncio.Future[Any]"]:
    """Write each template under its key, a batch a partition."""
    partitions = len(await producer.partitions_for(topic))
    batches: dict[int, Any] = defaultdict(producer.create_batch)
    for key, message in messages:
        batches[partition_of(key, partitions)].append(
            key=key, value=message.value, headers=message.headers, timestamp=None
        )
    return [await producer.send_batch(batch, topic, partition=number) for number, batch in batches.items()]


if __name__ == "__main__":
    uvloop.run(run(*sys.argv[1:4], unpack(Path(sys.argv[4]).read_bytes())[0]))  # type: ignore[call-arg]  # the arguments are text
