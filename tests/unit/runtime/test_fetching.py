"""Fetch sessions: each record is read once and in order, and a leader is told no more than what has changed."""

import asyncio
import random
from contextlib import suppress

import pytest
from aiokafka.errors import (
    AuthenticationFailedError,
    CorruptRecordException,
    KafkaConnectionError,
    OffsetOutOfRangeError,
)

from orderflow_runtime.core.event_log import Partition, Record
from orderflow_runtime.kafka.clients import heard, hearing, refuses
from orderflow_runtime.kafka.fetching import Fetcher, read_part
from orderflow_runtime.kafka.handover import Part
from support.runtime.leader import Leader, batch

PARTITIONS = [Partition("t", number) for number in range(40)]
A, B = PARTITIONS[:2]


async def read(fetcher: Fetcher, count: int, limit: int = 500) -> dict[Partition, list[bytes | None]]:
    """Read so many records, each partition's without a gap."""
    found: dict[Partition, list[bytes | None]] = {}
    ends: dict[Partition, int] = {}
    async with asyncio.timeout(5):
        while sum(map(len, found.values())) < count:
            for part in await fetcher.fetch(limit, 1.0):
                assert part.begin == ends.get(part.partition, part.begin)
                assert [record.offset for record in part.records] == list(range(part.begin, part.end))
                ends[part.partition] = part.end
                found.setdefault(part.partition, []).extend(record.value for record in part.records)
    return found


def begin(leader: Leader) -> Fetcher:
    """Return a fetcher that reads all partitions from their beginning."""
    fetcher = Fetcher(leader)
    for partition in PARTITIONS:
        fetcher.seek(partition, 0)
    return fetcher


async def test_a_leader_is_told_what_has_changed_alone() -> None:
    """All partitions are named once; after that a request names those that have been read on."""
    leader = Leader()
    fetcher = begin(leader)
    for n in range(10):
        leader.write(PARTITIONS[n], b"%d" % n)
        assert await read(fetcher, 1) == {PARTITIONS[n]: [b"%d" % n]}
    assert [len(request.changed) for request in leader.requests] == [len(PARTITIONS)] + [1] * 9
    await fetcher.close()


async def test_nothing_is_asked_while_nobody_waits_for_it() -> None:
    """What comes meanwhile comes in one answer, when it is wanted."""
    leader = Leader()
    fetcher = begin(leader)
    leader.write(A, b"0")
    await read(fetcher, 1)
    for n in range(1, 6):
        leader.write(A, b"%d" % n)
        await asyncio.sleep(0.01)
    assert len(leader.requests) == 1
    assert len((await read(fetcher, 5))[A]) == 5
    assert len(leader.requests) == 2
    await fetcher.close()


@pytest.mark.parametrize("fault", ["forgotten", "not kept", "lost"])
async def test_a_session_that_ends_loses_nothing_and_repeats_nothing(fault: str) -> None:
    """A leader that restarts, has no room for sessions, or whose answer is lost is told everything anew."""
    leader = Leader()
    leader.keeps = fault != "not kept"
    fetcher = begin(leader)
    found: list[bytes | None] = []
    for n in range(6):
        if n == 3 and fault == "forgotten":
            leader.session += 7
        if n == 3 and fault == "lost":
            leader.failures.append(KafkaConnectionError("gone"))
        leader.write(A, b"%d" % n)
        found += (await read(fetcher, 1))[A]
    assert found == [b"%d" % n for n in range(6)]
    await fetcher.close()


async def test_more_than_is_wanted_waits() -> None:
    """An answer is given out in parts of the wanted size, in order."""
    leader = Leader()
    fetcher = begin(leader)
    leader.write(A, *(b"%d" % n for n in range(25)))
    leader.write(B, b"b")
    found = await read(fetcher, 26, limit=10)
    assert found == {A: [b"%d" % n for n in range(25)], B: [b"b"]}
    await fetcher.close()


async def test_what_was_asked_for_before_a_seek_is_dropped() -> None:
    """An answer that comes late belongs to nobody; neither does one to a partition that was lost."""
    leader = Leader()
    fetcher = begin(leader)
    waiting = asyncio.create_task(fetcher.fetch(10, 1.0))
    await asyncio.sleep(0.01)
    fetcher.seek(A, 2)
    fetcher.drop([B])
    leader.write(B, b"b")
    leader.write(A, b"0", b"1", b"2")
    assert [(part.partition, part.begin, part.end) for part in await waiting] == [(A, 2, 3)]
    await fetcher.close()


async def test_an_offset_that_is_not_there_is_told() -> None:
    """Who reads decides where to go on; the partitions beside it are read."""
    leader = Leader()
    fetcher = begin(leader)
    fetcher.seek(A, 5)
    leader.write(B, b"b")
    with pytest.raises(OffsetOutOfRangeError):
        await fetcher.fetch(10, 1.0)
    assert await read(fetcher, 1) == {B: [b"b"]}
    await fetcher.close()


def written(leader: Leader, partition: Partition, *values: bytes) -> Part:
    """What a producer of this process has written to the leader."""
    at = len(leader.log[partition])
    leader.write(partition, *values)
    records = [Record(partition, at + n, b"k", [], value) for n, value in enumerate(values)]
    return Part(partition, at, at + len(values), records, "written", None)


async def test_what_the_process_has_written_is_not_asked_for() -> None:
    """Where it is what comes next it is given at once; Kafka is asked now and then, for what others may write there."""
    leader = Leader()
    fetcher = begin(leader)
    for n in range(20):
        fetcher.take(written(leader, A, b"%d" % n))
        assert await read(fetcher, 1) == {A: [b"%d" % n]}
    assert len(leader.requests) <= 1
    await fetcher.close()


async def test_where_nothing_comes_nobody_waits_beside_what_the_process_writes() -> None:
    """Kafka is asked twice a second, for all partitions alike, and none is taken out of the session and put back."""
    leader = Leader()
    fetcher = begin(leader)
    for n in range(12):
        fetcher.take(written(leader, A, b"%d" % n))
        await read(fetcher, 1)
        assert await fetcher.fetch(10, 0.1) == []
    assert len(leader.requests) <= 3
    assert not any(request.forgotten for request in leader.requests)
    await fetcher.close()


async def test_what_others_write_beside_it_is_read_soon() -> None:
    """A partition that was this process's alone is looked at, and waited for as soon as it is not."""
    leader = Leader()
    fetcher = begin(leader)
    fetcher.take(written(leader, A, b"own"))
    await read(fetcher, 1)
    leader.write(A, b"foreign")
    leader.write(B, b"elsewhere")
    async with asyncio.timeout(1.0):
        assert await read(fetcher, 2) == {A: [b"foreign"], B: [b"elsewhere"]}
    await fetcher.close()


@pytest.mark.parametrize("seed", range(20))
async def test_each_record_comes_once_and_in_order_whoever_wrote_it(seed: int) -> None:
    """Own records are told of late, in time, or not at all; some are written by others, some just before a seek."""
    chance, leader = random.Random(seed), Leader()
    fetcher = begin(leader)
    found: list[bytes | None] = []
    late: list[Part] = []
    for n in range(60):
        value = b"%d" % n
        if chance.random() < 0.7:
            late.append(written(leader, A, value))
        else:
            leader.write(A, value)
        if chance.random() < 0.6:
            for part in late:
                fetcher.take(part)
            late = late[: chance.randrange(2)]
        if chance.random() < 0.1:
            fetcher.seek(A, len(found))
        if chance.random() < 0.4:
            parts = await fetcher.fetch(chance.choice([1, 3, 500]), 0.01)
            for part in parts:
                assert part.begin == len(found)
                found += [record.value for record in part.records]
    found += (await read(fetcher, 60 - len(found))).get(A, [])
    assert found == [b"%d" % n for n in range(60)]
    await fetcher.close()


async def test_why_a_connection_failed_is_heard_where_the_consumer_was_started() -> None:
    """A node that does not let this service in is found out by the fetches, which others ask for."""

    class Refusing(Leader):
        """It is asked for a connection first."""

        async def ready(self, _: int) -> bool:
            """Refuse, as a connection does."""
            if (failures := heard.get()) is not None:
                failures.append(AuthenticationFailedError())
            return False

    with hearing() as failures:
        fetcher = begin(Refusing())
    await asyncio.create_task(fetcher.fetch(10, 0.1))
    assert refuses(failures)
    await fetcher.close()


def test_a_damaged_batch_is_not_read() -> None:
    """Its checksum tells."""
    data = batch(0, [b"value"]).replace(b"value", b"eulav")
    with pytest.raises(CorruptRecordException):
        read_part(A, 0, data, (), None)


async def test_what_is_handed_in_without_a_pause_keeps_nobody_elses_from_being_read() -> None:
    """There is always something of the process's own to give out; a partition beside it is read within a second."""
    leader = Leader()
    fetcher = begin(leader)
    leader.write(B, b"foreign")
    found: set[Partition] = set()
    with suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            while B not in found:
                fetcher.take(written(leader, A, b"own"))
                found |= {part.partition for part in await fetcher.fetch(500, 1.0)}
                await asyncio.sleep(0.005)
    assert B in found
    await fetcher.close()


async def test_what_is_handed_in_and_not_taken_is_bounded_by_its_size() -> None:
    """A consumer that is slow with large events has the log keep them: they are read from there, none is lost."""
    leader = Leader()
    fetcher = begin(leader)
    for n in range(40):
        fetcher.take(written(leader, A, b"%d" % n * 250_000))
    kept = sum(len(record.value or b"") for part in fetcher._parts for record in part.records)
    assert kept < 10_000_000
    assert len((await read(fetcher, 40))[A]) == 40
    await fetcher.close()


async def test_what_others_wrote_before_it_is_read_at_once() -> None:
    """Where something lies between, Kafka is asked for it, and for what the process has written behind it."""
    leader = Leader()
    fetcher = begin(leader)
    fetcher.take(written(leader, B, b"own"))
    await read(fetcher, 1)
    await fetcher.fetch(10, 0.02)
    waiting = asyncio.create_task(read(fetcher, 2))
    await asyncio.sleep(0.02)
    leader.write(A, b"foreign")
    fetcher.take(written(leader, A, b"own"))
    async with asyncio.timeout(0.2):
        assert await waiting == {A: [b"foreign", b"own"]}
    await fetcher.close()


async def test_what_there_was_no_room_for_is_asked_for_at_once_and_makes_nobody_wait_at_kafka_later() -> None:
    """After a burst of the process's own records its partitions are looked at as before."""
    leader = Leader()
    fetcher = begin(leader)
    for _ in range(40):
        fetcher.take(written(leader, A, bytes(100_000)))
    fetcher.take(written(leader, B, b"own"))
    async with asyncio.timeout(0.4):
        assert len((await read(fetcher, 41, limit=5))[A]) == 40
    leader.requests.clear()
    for n in range(30):
        fetcher.take(written(leader, A, b"%d" % n))
        await read(fetcher, 1)
        assert await fetcher.fetch(10, 0.05) == []
    assert len(leader.requests) <= 4
    await fetcher.close()


async def test_a_leader_that_is_away_is_asked_less_and_less_often(caplog: pytest.LogCaptureFixture) -> None:
    """Each time is a line of log; when it is there again it is read at once."""
    leader = Leader()
    leader.failures = [KafkaConnectionError("gone")] * 1_000
    fetcher = begin(leader)
    assert await fetcher.fetch(10, 2.0) == []
    assert 2 < len(leader.requests) < 10, "at an even pace it would be twenty"
    assert len(caplog.records) == len(leader.requests)
    leader.failures.clear()
    leader.write(A, b"0")
    assert await read(fetcher, 1) == {A: [b"0"]}
    await fetcher.close()
