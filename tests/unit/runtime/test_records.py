"""Reading record batches: whatever bytes a producer gives header names, every record of the batch is read."""

import subprocess
import sys

import aiokafka
import pytest
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from orderflow_runtime.kafka.aiokafka_compat import Batches
from orderflow_runtime.kafka.handover import Handover
from orderflow_runtime.kafka.kafka_log import KafkaLog, KafkaSettings
from orderflow_runtime.settings import MisconfiguredError

HEADERS = [("nAme", b"1"), ("null", None), ("emptY", b""), ("é", b"\xff")]


def batch(codec: int = DefaultRecordBatch.CODEC_NONE) -> bytes:
    """Five records, the third without key and the fourth without value."""
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 100_000)
    for n in range(5):
        key, value = None if n == 2 else b"k%d" % n, None if n == 3 else b"v%d" % n * 50
        builder.append(n, 1_000 + n, key, value, HEADERS)
    return bytes(builder.build())


def read(data: bytes) -> list[tuple[object, ...]]:
    """All records of all batches."""
    batches, found = Batches(data), []
    while batches.has_next():
        found += [(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in batches.next_batch()]
    return found


def test_a_kafka_log_connects_in_its_own_way_and_an_import_changes_nothing() -> None:
    """What aiokafka is for others in a process stays so until a log is made."""
    code = """
from aiokafka import conn
before = conn.AIOKafkaConnection
from orderflow_runtime.kafka.handover import Handover
from orderflow_runtime.kafka.kafka_log import KafkaLog, KafkaSettings
assert conn.AIOKafkaConnection is before
KafkaLog(KafkaSettings("nowhere:1", "g", ()), Handover())
assert conn.AIOKafkaConnection is not before
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_aiokafka_whose_inside_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service would run on and fail somewhere; so it does not start, and says what to install."""
    monkeypatch.setattr(aiokafka, "__version__", "0.15.0")
    with pytest.raises(MisconfiguredError, match=r"aiokafka 0\.15\.0 is installed.*0\.14\.x"):
        KafkaLog(KafkaSettings("nowhere:1", "g", ()), Handover())


def test_a_batch_with_odd_header_names_reads_like_one_without() -> None:
    """Only the odd name differs: its bytes stand as lone surrogates, and give the bytes back."""
    plain, odd = read(batch()), read(batch().replace(b"nAme", b"n\xffme"))
    assert [record[:4] for record in odd] == [record[:4] for record in plain]
    for record in odd:
        assert record[4] == [("n\udcffme", b"1"), *HEADERS[1:]]


@pytest.mark.parametrize("codec", range(DefaultRecordBatch.CODEC_GZIP, DefaultRecordBatch.CODEC_ZSTD + 1))
def test_compressed_batches_are_read(codec: int) -> None:
    """A batch reads alike however its producer compressed it."""
    assert read(batch(codec)) == read(batch())


def test_several_batches_and_a_cut_off_end_are_read() -> None:
    """A fetch response may hold many batches and a part of one more, which comes with the next fetch."""
    data = batch() + batch().replace(b"emptY", b"e\xc3(ty") + batch()[:-1]
    assert len(read(data)) == 10
    batches = Batches(batch()[:-1])
    assert not batches.has_next()
    assert batches.size_in_bytes() == len(batch()) - 1
    assert not Batches(b"").has_next()


def test_each_batch_tells_in_which_epoch_of_its_leader_it_was_written() -> None:
    """The one taken last counts, since reading goes on behind it."""
    early, later = bytearray(batch()), bytearray(batch())
    early[12:16], later[12:16] = (3).to_bytes(4, "big"), (7).to_bytes(4, "big")
    batches = Batches(bytes(early + later))
    found = [batches.leader_epoch]
    while batches.has_next():
        batches.next_batch()
        found.append(batches.leader_epoch)
    assert found == [-1, 3, 7]


def test_the_marker_of_an_aborted_transaction_can_be_looked_at() -> None:
    """aiokafka takes a control batch's record without iterating; it tells which records were aborted."""
    builder = DefaultRecordBatchBuilder(2, 0, 1, 5, 0, 0, 1_000)
    builder.append(0, 1_000, b"\x00\x00\x00\x00", b"\x00" * 6, [])
    assert next(Batches(bytes(builder.build())).next_batch()).key == b"\x00\x00\x00\x00"


def test_the_brokers_time_is_that_of_all_records_of_its_batch_however_their_headers_are_named() -> None:
    """Where the broker gives the time, the batch has one for all; an odd name changes nothing of it."""
    by_broker = bytearray(batch())
    by_broker[22] |= 0x08  # the attributes' bit for it
    plain, odd = read(bytes(by_broker)), read(bytes(by_broker).replace(b"nAme", b"n\xffme"))
    assert {record[1] for record in plain} == {1_004}
    assert [record[1] for record in odd] == [record[1] for record in plain]
