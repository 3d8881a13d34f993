"""Kafka and Postgres in folders of any name: their data is there and nowhere else."""

from pathlib import Path

import asyncpg
import pytest
from confluent_kafka import Producer

from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.kafka_topics import ensure_topics
from orderflow_cli.servers.postgres import Postgres
from orderflow_model.topics import Topic
from support.tools.scratch import scratch_directory
from support.tools.servers import kafka_program

AWKWARD = [
    "Übung, zweite\\n: 100 % $HOME ${x} %(y)s",
    " #!=key = value 'quoted\" `id` [bold]",
    "日本-\N{ROCKET}-\u00a0e\u0301,",
    "back\\slash\\u0041\\",
]


@pytest.mark.parametrize("name", AWKWARD, ids=ascii)
def test_kafka_keeps_its_data_in_a_folder_of_any_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts, makes a topic, and starts again on the same data, also where the shell's locale is plain ASCII."""
    monkeypatch.setenv("LC_ALL", "C")
    with scratch_directory() as folder:
        kafka = Kafka(folder / name / "kafka", kafka_program())
        try:
            kafka.start()
            ensure_topics(kafka.bootstrap, [Topic("kept", 1, 1, 60_000)])
            _publish(kafka)
            assert (folder / name / "kafka" / "data" / "kept-0").is_dir()
            assert _below(folder) == [name]
            kafka.restart()
            _publish(kafka)
        finally:
            kafka.stop()


@pytest.mark.parametrize("name", AWKWARD, ids=ascii)
async def test_postgres_keeps_its_data_in_a_folder_of_any_name(name: str) -> None:
    """It starts, takes a table, and has it after a restart."""
    with scratch_directory() as folder:
        server = Postgres(folder / name / "postgres", password="secret")  # noqa: S106 - of a server that lives for this test
        try:
            server.start()
            assert await _query(server, "create table kept as select 7 as seven") is None
            server.restart()
            assert await _query(server, "select seven from kept") == 7
            assert _below(folder) == [name]
        finally:
            server.stop()


def _publish(kafka: Kafka) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "acks": "all"})
    producer.produce("kept", value=b"1")
    assert producer.flush(20) == 0


def _below(folder: Path) -> list[str]:
    return [child.name for child in folder.iterdir()]


async def _query(server: Postgres, statement: str) -> object:
    connection = await asyncpg.connect(server.admin_url())
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()
