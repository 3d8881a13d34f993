"""Services that die at random under load, once each and fifty times."""

import asyncio
from random import Random

import pytest

from support.chaos import Load, buried, kill_and_restart, pauses, poison
from support.orders import Shop

KILLS = 50
ORDERS_A_KILL = 400
SEED = 4711


@pytest.mark.timeout(900)
async def test_fifty_random_kills_during_twenty_thousand_orders(shop: Shop) -> None:
    """Nothing is lost, done twice or stuck, and the dead letters are exactly the poisoned records."""
    random, load, fleet = Random(SEED), Load(shop), shop.fleet
    services = [service.name for service in fleet.flow.spec.services]
    waits, letters = pauses(random, 0.1, 1.2), 0
    for number in range(KILLS):

        async def disturb() -> None:
            await asyncio.sleep(next(waits))
            await kill_and_restart(fleet, f"{random.choice(services)}-0")

        if number % 10 == 5:
            letters += poison(fleet, random.choice(["ORDER_CREATED", "PAYMENT_PROCESSED", "ORDER_CANCELLED"]), 5)
        await load.during(ORDERS_A_KILL, disturb)
    print(f"\n{KILLS} kills: {await load.verdict(dead_letters=letters)}")
    assert buried(fleet) == letters
