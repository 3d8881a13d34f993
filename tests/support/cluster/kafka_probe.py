"""Run in a pod, by the tests of who may do what at Kafka: tries one thing, and prints `done` or the refusal's name.

Arguments: `read` or `write`, and the topic. It logs in by the environment that a service's pod has.
"""

import asyncio
import logging
import os
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError


def login() -> dict[str, str]:
    """Give the client's settings."""
    return {
        "bootstrap_servers": os.environ["ORDERFLOW_KAFKA_BOOTSTRAP"],
        "security_protocol": os.environ["ORDERFLOW_KAFKA_SECURITY_PROTOCOL"],
        "sasl_mechanism": os.environ["ORDERFLOW_KAFKA_SASL_MECHANISM"],
        "sasl_plain_username": os.environ["ORDERFLOW_KAFKA_USERNAME"],
        "sasl_plain_password": os.environ["ORDERFLOW_KAFKA_PASSWORD"],
    }


async def read(topic: str) -> None:
    """Read the first record of any partition."""
    consumer = AIOKafkaConsumer(**login(), auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, number) for number in range(6)])
        record = asyncio.create_task(consumer.getone())
        while not record.done():
            if topic in consumer._client.cluster.unauthorized_topics:  # getone would ask again for ever
                raise TopicAuthorizationFailedError(topic)
            await asyncio.wait([record], timeout=0.1)
        await record
    finally:
        await consumer.stop()


async def write(topic: str) -> None:
    """Write one record."""
    producer = AIOKafkaProducer(**login(), request_timeout_ms=10_000)
    await producer.start()
    try:
        await producer.send_and_wait(topic, b"{}", b"stranger")
    finally:
        await producer.stop()


if __name__ == "__main__":
    logging.disable()
    try:
        asyncio.run({"read": read, "write": write}[sys.argv[1]](sys.argv[2]))
        print("done")
    except KafkaError as error:
        print(type(error).__name__)
