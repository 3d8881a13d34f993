"""Services that die at random under load, fifty times."""

import asyncio
from random import Random

import pytest

from support.flow.chaos import Load, buried, kill_and_restart, poison
from support.flow.orders import Shop
from support.tools.portion import Portion

KILLS = 50
ORDERS_A_KILL = 400
SEED = 4711
POISONED = ("ORDER_CREATED", "PAYMENT_PROCESSED", "ORDER_CANCELLED")


@pytest.mark.timeout(900)
async def test_random_kills_during_twenty_thousand_orders(shop: Shop, chaos: Portion) -> None:
    """Nothing is lost, done twice or stuck, and the dead letters are exactly the poisoned records."""
    load, fleet, letters = Load(shop), shop.fleet, 0
    services = [service.name for service in fleet.flow.spec.services]
    turns = chaos.turns(range(KILLS))
    for number in turns:
        random = Random(f"{SEED} {number}")

        async def disturb(random: Random = random) -> None:
            await asyncio.sleep(random.uniform(0.1, 1.2))
            await kill_and_restart(fleet, f"{random.choice(services)}-0")

        if number // 10 == 2:
            letters += poison(fleet, random.choice(POISONED), 5)
        await load.during(ORDERS_A_KILL, disturb)
    print(f"\n{len(turns)} kills: {await load.verdict(dead_letters=letters)}")
    assert buried(fleet) == letters
