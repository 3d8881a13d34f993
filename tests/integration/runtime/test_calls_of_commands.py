"""A call that a command's handler asks for is performed soon after its commit, whoever of the service has the shard."""

from collections.abc import Callable, Sequence

import pytest

from orderflow_runtime import Reply, Service, Submitted, Transaction
from support.flow.fleet import until
from support.runtime.real import Site
from support.runtime.sample_service import Do, Outside, sample_service, source_service

SOON = 10.0
"""Less than from one look for what nobody works for to the next."""


async def ask(commands: Sequence[Submitted[Do]], tx: Transaction) -> Sequence[Reply[int]]:
    """Ask for a call."""
    for one in commands:
        tx.call("outside", one.key, {"n": one.command.n}, f"{one.key}:{one.command.n}")
    return [Reply(one.command.n) for one in commands]


async def outcomes(site: Site, schema: str) -> list[tuple[str, str]]:
    """Give the outcomes that were handled, by key."""
    rows = await site.fleet.fetch(f"SELECT key, what FROM {schema}.effects ORDER BY key")  # noqa: S608 - one of two
    return [(row["key"], row["what"]) for row in rows]


async def until_handled(site: Site, schema: str, count: int) -> None:
    """Wait until outcomes of so many keys are handled, each once."""
    wanted = [(f"k{n}", f"outcome {n}") for n in range(count)]

    async def there() -> bool:
        return len(await outcomes(site, schema)) >= count

    await until(there, f"{count} outcomes", SOON)
    assert await outcomes(site, schema) == wanted
    assert not await site.fleet.fetch(f"SELECT 1 FROM {schema}.calls")  # noqa: S608 - one of two


@pytest.mark.parametrize("make", [source_service, sample_service])
async def test_it_is_performed_soon_by_who_took_the_command(site: Site, make: Callable[..., Service]) -> None:
    """Of a service that only publishes, and of one that reads topics: each once, and its outcome handled once."""
    service = make(site.script, site.outside, commands={Do: ask})
    async with site.running(service) as process:
        assert process.commands is not None
        await process.commands.submit_all([Do(f"k{n}", n) for n in range(5)])
        await until_handled(site, service.name, 5)
    assert sorted(site.outside.performed) == [f"k{n}:{n}" for n in range(5)]


async def test_it_is_performed_soon_by_another_instance_that_has_the_shard(site: Site) -> None:
    """One instance has all shards, the other takes the commands and performs nothing."""
    idle = Outside()
    async with (
        site.running(source_service(site.script, site.outside, commands={Do: ask})),
        site.running(source_service(site.script, idle, commands={Do: ask}), "i1") as second,
    ):
        assert second.commands is not None
        await second.commands.submit_all([Do(f"k{n}", n) for n in range(5)])
        await until_handled(site, "source", 5)
    assert (sorted(site.outside.performed), idle.performed) == ([f"k{n}:{n}" for n in range(5)], [])
