"""The membership of a service that reads no topic: what is locked is assigned, what is lost is revoked."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field

import pytest

from orderflow_runtime.core.event_log import Partition, Position
from orderflow_runtime.core.store import StoreUnavailable
from orderflow_runtime.postgres.lock_membership import SHARDS, LockedShards
from orderflow_runtime.testing.memory_log import MemoryCluster, MemoryLog
from support.flow.fleet import until


@dataclass
class Locks:
    """A session whose locks the test decides; None: the session is gone."""

    held: frozenset[int] | None = frozenset(range(SHARDS))

    async def try_locks(self, numbers: Sequence[int]) -> frozenset[int]:
        """Give what is held."""
        if self.held is None:
            raise StoreUnavailable("gone")
        return self.held & set(numbers)


@dataclass
class Member:
    """A started member and what was revoked from it."""

    shards: LockedShards
    locks: Locks
    revoked: list[int] = field(default_factory=list)

    async def on_revoked(self, lost: Collection[Partition]) -> None:
        """Note it."""
        self.revoked += [number for _, number in lost]

    def numbers(self) -> set[int]:
        """Give what is assigned."""
        return {number for _, number in self.shards.assigned()}

    async def until(self, *numbers: int) -> None:
        """Wait for an assignment."""
        await until(lambda: self.numbers() == set(numbers), f"{numbers} are assigned", 5, every=0.005)


@pytest.fixture
async def member(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Member]:
    """A member that holds all shards."""
    monkeypatch.setattr("orderflow_runtime.postgres.lock_membership._EVERY_SECONDS", 0.01)
    locks = Locks()
    member = Member(LockedShards(MemoryLog(MemoryCluster({}), "g", ()), locks), locks)
    assert not member.shards.joined()
    await member.shards.start(member.on_revoked)
    await member.until(*range(SHARDS))
    yield member
    await member.shards.stop()


async def test_a_session_that_is_gone_costs_all_shards_until_there_is_a_new_one(member: Member) -> None:
    """The worker is told at once, and told nothing twice."""
    member.locks.held = None
    await member.until()
    await asyncio.sleep(0.05)
    assert sorted(member.revoked) == list(range(SHARDS))
    member.locks.held = frozenset({1, 2})
    await member.until(1, 2)


async def test_shards_that_another_took_meanwhile_are_revoked(member: Member) -> None:
    """A session made anew in silence may hold fewer locks: what is missing is given back."""
    member.locks.held = frozenset({0, 1})
    await member.until(0, 1)
    assert sorted(member.revoked) == list(range(2, SHARDS))


async def test_nothing_is_read(member: Member) -> None:
    """Shards are no topic: there is nothing in them, nor anybody to report to."""
    shards = member.shards
    assert await shards.fetch(10, 0.001) == ()
    assert await shards.partitions_of("") == SHARDS
    assert await shards.resume({Partition("", 1): Position(5)}) == {Partition("", 1): Position(5)}
    await shards.report({})
    await shards.stop()
    assert not shards.joined()
    assert not shards.assigned()
