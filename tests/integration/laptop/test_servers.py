"""Kafka and Postgres as `orderflow run` starts them: durable, on fixed ports, and gone with their parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from orderflow_cli.errors import TopicConflictError
from orderflow_cli.servers.kafka import Kafka
from orderflow_cli.servers.kafka_mock import MockKafka
from orderflow_cli.servers.kafka_topics import ensure_topics, touch_topics
from orderflow_cli.servers.ports import is_free
from orderflow_cli.servers.postgres import Postgres
from orderflow_model.topics import Topic


def _topic(name: str, partitions: int = 1, **config: str) -> Topic:
    settings = {"min.insync.replicas": "2"} | {key.replace("_", "."): value for key, value in config.items()}
    return Topic(name, partitions, replicas=3, retention_ms=60_000, config=settings)


def _end_offset(bootstrap: str, topic: str) -> int:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "count"})
    try:
        return int(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)[1])
    finally:
        consumer.close()


def _publish(bootstrap: str, topic: str) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    producer.produce(topic, value=b"1", partition=0)
    assert producer.flush(10) == 0


async def _query(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def test_kafka_starts_from_the_classes_of_an_earlier_start(kafka: Kafka) -> None:
    """The archive that was made once is mapped, which a Java that finds it unfit would not do."""
    assert kafka.pid is not None
    mapped = {Path(one.path) for one in psutil.Process(kafka.pid).memory_maps()}
    assert [path for path in mapped if path.suffix == ".jsa" and path.parent.name.startswith("kafka-")]


def test_kafka_keeps_address_and_events_over_kill_and_restart(private_kafka: Kafka) -> None:
    """What was acknowledged is still there, at the same address, after a kill and after a restart."""
    address = private_kafka.bootstrap
    ensure_topics(address, [_topic("kept")])
    _publish(address, "kept")
    private_kafka.kill()
    private_kafka.start()
    _publish(address, "kept")
    private_kafka.restart()
    assert (private_kafka.bootstrap, _end_offset(address, "kept")) == (address, 2)


async def test_postgres_keeps_address_and_rows_over_kill_and_restart(private_postgres: Postgres) -> None:
    """What was committed is still there, at the same address, after a kill and after a restart."""
    url = private_postgres.admin_url()
    await _query(url, "create table kept as select 7 as seven")
    private_postgres.kill()
    private_postgres.start()
    private_postgres.restart()
    assert await _query(url, "select seven from kept") == 7


async def test_a_wrong_password_is_refused(postgres: Postgres) -> None:
    """Knowing the port is not enough to read a flow's database."""
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://postgres:guess@127.0.0.1:{postgres.port}/postgres")


async def test_databases_are_fresh(database: str) -> None:
    """A test's database holds no table of another test."""
    assert await _query(database, "select count(*) from pg_tables where schemaname = 'public'") == 0


def test_servers_die_with_a_killed_parent(tmp_path: Path) -> None:
    """SIGKILL of the parent leaves neither a server nor a port in use."""
    code = (
        "import sys, time, pathlib; from support.tools.servers import new_kafka, new_postgres\n"
        "servers = [make(pathlib.Path(sys.argv[1])) for make in (new_kafka, new_postgres)]\n"
        "[server.start() for server in servers]\n"
        "pids = [server.pid for server in servers]\n"
        "print(*pids, servers[0].bootstrap.split(':')[1], servers[1].port, flush=True)\n"
        "time.sleep(60)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, env=env, text=True)
    assert parent.stdout is not None
    kafka_pid, postgres_pid, *ports = map(int, parent.stdout.readline().split())
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    assert _within(10, lambda: _gone(kafka_pid) and _gone(postgres_pid) and all(map(is_free, ports)))


def _gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not holds():
        time.sleep(0.05)
    return holds()


def test_topics_are_made_grown_and_configured(kafka: Kafka, flow_name: str) -> None:
    """A second call with more partitions and another retention changes the topic, the first made it."""
    ensure_topics(kafka.bootstrap, [_topic(flow_name)])
    ensure_topics(kafka.bootstrap, [_topic(flow_name, 3, retention_ms="60000")])
    found = AdminClient({"bootstrap.servers": kafka.bootstrap}).list_topics(flow_name, timeout=10)
    assert len(found.topics[flow_name].partitions) == 3


def test_fewer_partitions_are_refused(kafka: Kafka, flow_name: str) -> None:
    """Kafka cannot take partitions away, so the flow is refused by name before anything is changed."""
    ensure_topics(kafka.bootstrap, [_topic(flow_name, 2)])
    with pytest.raises(TopicConflictError, match=f"topic {flow_name} has 2 partitions"):
        ensure_topics(kafka.bootstrap, [_topic(flow_name)])


def test_the_mock_takes_events_like_a_broker(tmp_path: Path) -> None:
    """Where there is no Java, clients find a broker that makes topics on touch and acknowledges events."""
    mock = MockKafka(tmp_path)
    mock.start()
    try:
        touch_topics(mock.bootstrap, [_topic("mocked")])
        _publish(mock.bootstrap, "mocked")
        assert _end_offset(mock.bootstrap, "mocked") == 1
    finally:
        mock.stop()
