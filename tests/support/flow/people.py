"""People who order, and a search for them that knows nothing of ours: every byte of every topic and table."""

import json
import subprocess
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import yaml
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from orderflow_model import environment
from orderflow_model.flow import OrderFlow
from orderflow_model.topics import flow_topics
from support.flow.cli_process import orderflow
from support.flow.fleet import Fleet
from support.flow.orders import SHOP, order

SECRET = "a secret of the tests, of forty letters.."  # noqa: S105 - of a flow that lives as long as the test

PRIVACY = {
    "secret": {"secretKeyRef": {"name": "shop-privacy", "key": "secret"}},
    "readers": ["order", "inventory", "notification"],
}
KEEPING = {"image": "orderflow/services:dev", "contracts": "orderflow_shop.events"}


def texts_of(number: int) -> list[str]:
    """Give what is personal of a person; no text of one stands in another's."""
    letters = "".join(chr(ord("a") + int(digit)) for digit in f"{number:03}")
    return [
        f"cust-{number:03}-id",
        f"{letters}@mail-{number:03}.example",
        f"Näme {letters} of {number:03}",
        f"Street {letters} {number:03}\nBack house",
        f"Town {letters}",
        f"ZIP-{letters}",
    ]


def order_of(number: int, key: str, **wishes: Any) -> dict[str, Any]:
    """Give an order of a person."""
    customer, email, name, street, city, postcode = texts_of(number)
    return order(key=key, **wishes) | {
        "customer": {"id": customer, "email": email, "name": name},
        "shipTo": {"name": name, "street": street, "city": city, "postcode": postcode, "country": "DE"},
    }


class Reached(Protocol):
    """A flow whose database and Kafka are somewhere."""

    flow: OrderFlow
    admin_url: str
    bootstrap: str


def flow_file(fleet: Reached, folder: Path) -> Path:
    """Write the fleet's flow to a file and give it."""
    data = yaml.safe_load(SHOP.read_text())
    data["metadata"]["name"] = fleet.flow.metadata.name
    for part in ("privacy", "analytics"):
        found = getattr(fleet.flow.spec, part)
        data["spec"][part] = json.loads(found.model_dump_json(by_alias=True, exclude_unset=True))
    (file := folder / "flow.yaml").write_text(yaml.safe_dump(data))
    return file


def privacy(fleet: Reached, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `orderflow privacy` on the fleet."""
    env = {
        environment.PRIVACY_KEY: SECRET,
        environment.DATABASE_URL: fleet.admin_url,
        environment.KAFKA_BOOTSTRAP: fleet.bootstrap,
        environment.LAKE: str(folder / "lake"),
    }
    return orderflow("privacy", *arguments, cwd=folder, env=env)


async def everything(fleet: Fleet) -> dict[str, bytes]:
    """Give all bytes of each topic and each table, by its name; JSON's escapes of line ends are undone."""
    found = {topic.name: _topic(fleet, topic.name) for topic in flow_topics(fleet.flow)}
    connection = await asyncpg.connect(fleet.admin_url)
    try:
        for schema, table in await connection.fetch(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ):
            rows = await connection.fetch(f'SELECT * FROM "{schema}"."{table}"')  # noqa: S608 - names of the catalogue
            found[f"{schema}.{table}"] = b"\n".join(sorted(_bytes(value) for row in rows for value in row.values()))
    finally:
        await connection.close()
    return {name: data.replace(b"\\n", b"\n") for name, data in found.items()}


def places_of(number: int, kept: dict[str, bytes]) -> list[str]:
    """Give the places in which something of a person stands."""
    wanted = [text.encode() for text in texts_of(number)]
    return [name for name, data in kept.items() if any(text in data for text in wanted)]


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _topic(fleet: Fleet, topic: str) -> bytes:
    options = {"bootstrap.servers": fleet.bootstrap, "group.id": "search", "enable.partition.eof": True}
    consumer, parts = Consumer({**options, "enable.auto.commit": False}), []
    left = set(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in left])
    while left:
        message = consumer.poll(10)
        assert message is not None, f"{topic} gave nothing"
        if message.error() is None:
            headers: Any = message.headers() or ()
            parts += [_bytes(part) for part in (message.key(), message.value(), *(value for _, value in headers))]
        else:
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            left.discard(message.partition())
    consumer.close()
    return b"\n".join(sorted(parts))
