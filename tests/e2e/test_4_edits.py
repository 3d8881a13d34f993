"""Thirty edits in a row, of every kind, while orders come: services come and go, passwords are drawn anew.

Some edits come before the one before is done. Every order that was accepted ends, and once each.
"""

import asyncio
import time
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from support.cluster.cluster import aside
from support.cluster.shop_in_cluster import IMAGE, LOYALTY, NEXT_IMAGE, Json, ShopInCluster
from support.flow.background_orders import background_orders, verdict
from support.flow.flows import changed
from support.flow.orders import Shop
from support.tools.portion import Portion

EDITS = 30
SCALED = ("inventory", "payment", "shipping", "notification")
GUEST = str(LOYALTY["name"])
"""A service beside the saga, which comes and goes."""


class Edits:
    """What people do to the flow, drawn from a seed; each returns what it did."""

    def __init__(self, fleet: ShopInCluster, draw: Random) -> None:
        self._fleet = fleet
        self._draw = draw

    def one(self) -> str:
        """Do one of them."""
        kinds: list[Callable[[], str]] = [
            *(self._come_or_go,) * 4,
            *(self._rename,) * 2,
            *(self._scale, self._image, self._limits, self._retention, self._deadline),
            *(self._placement,) * 3,
            *(self._password_of_kafka, self._password_of_database),
        ]
        return self._draw.choice(kinds)()

    @property
    def _services(self) -> list[Json]:
        return list(self._fleet.manifest["spec"]["services"])

    def _come_or_go(self) -> str:
        rest = [one for one in self._services if one["name"] != GUEST]
        came = len(rest) == len(self._services)
        self._fleet.change("spec.services", [*rest, LOYALTY] if came else rest)
        return f"{GUEST} {'comes' if came else 'goes'}"

    def _rename(self) -> str:
        """Call an event otherwise than the services' code does, so that no new pod starts; then take it back."""
        before = self._fleet.manifest
        event = self._draw.choice(before["spec"]["events"])["name"]
        self._fleet.apply(_replaced(before, event, f"{event}_ANEW"))
        time.sleep(self._draw.uniform(5, 20))
        self._fleet.apply(before)
        return f"{event} is renamed, and then called as before"

    def _scale(self) -> str:
        name, pods = self._draw.choice(SCALED), self._draw.randint(1, 2)
        scale = {"min": pods, "max": pods, "lag": 500}
        self._fleet.change(f"spec.services.{self._fleet.index(name)}.scale", scale)
        return f"{name}: {pods} pods"

    def _image(self) -> str:
        """Have a service run another image, and whoever shares its process."""
        name, image = self._draw.choice(SCALED), self._draw.choice((IMAGE, NEXT_IMAGE))
        named = next((group for group in self._groups if name in group), [name])
        services = [one | {"image": image} if one["name"] in named else one for one in self._services]
        self._fleet.change("spec.services", services)
        return f"{' and '.join(named)} run {image}"

    def _placement(self) -> str:
        """Have services of one image share a process, or none."""
        images = {one["name"]: one["image"] for one in self._services}
        alike = [name for name in SCALED if images[name] == images[SCALED[0]]]
        shared = self._draw.sample(alike, self._draw.randint(0, len(alike)))
        groups = [{"name": "core", "services": shared}] if len(shared) > 1 else []
        self._fleet.change("spec.placement", {"mode": "Apart", "groups": groups})
        return f"{' and '.join(shared)} share a process" if groups else "each service has its process"

    @property
    def _groups(self) -> list[list[str]]:
        placement = self._fleet.manifest["spec"].get("placement", {})
        return [group["services"] for group in placement.get("groups", [])]

    def _limits(self) -> str:
        name, memory = self._draw.choice(SCALED), f"{self._draw.randint(260, 320)}Mi"
        self._fleet.change(f"spec.services.{self._fleet.index(name)}.resources.limits", {"memory": memory})
        return f"{name} may take {memory}"

    def _retention(self) -> str:
        number, hours = self._draw.randrange(len(self._fleet.manifest["spec"]["events"])), self._draw.randint(100, 200)
        event = self._fleet.manifest["spec"]["events"][number]
        self._fleet.change(f"spec.events.{number}.topic", event.get("topic", {}) | {"retention": f"{hours}h"})
        return f"{event['name']} is kept for {hours} h"

    def _deadline(self) -> str:
        minutes = self._draw.randint(15, 30)
        self._fleet.change("spec.saga.deadline", f"{minutes}m")
        return f"runs may take {minutes} min"

    def _password_of_kafka(self) -> str:
        return self._deleted(f"shop-{self._draw.choice(SCALED)}.kafka")

    def _password_of_database(self) -> str:
        return self._deleted(f"shop-{self._draw.choice(SCALED)}.database")

    def _deleted(self, secret: str) -> str:
        self._fleet.namespace.kubectl("delete", "secret", secret, "--ignore-not-found")
        limits = changed(self._fleet.manifest, "metadata.annotations", {"seen": str(time.monotonic())})
        self._fleet.apply(limits)  # the operator looks at Secrets at its next turn
        return f"Secret {secret} is drawn anew"


def _replaced(node: Any, old: str, new: str) -> Any:
    """Give a copy of a document with a word in the place of another."""
    if isinstance(node, dict):
        return {key: _replaced(value, old, new) for key, value in node.items()}
    if isinstance(node, list):
        return [_replaced(value, old, new) for value in node]
    return new if node == old else node


@pytest.mark.timeout(1800)
async def test_every_order_ends_through_thirty_edits(fleet: ShopInCluster, shop: Shop, chaos: Portion) -> None:
    """Under `deletionPolicy: Delete`, so that what leaves the flow really goes."""
    draw = Random(30)
    edits, began = Edits(fleet, draw), time.monotonic()
    await aside(fleet.change, "spec.deletionPolicy", "Delete")
    async with background_orders(shop) as orders:
        for number in range(chaos.size(EDITS)):
            print(f"{time.monotonic() - began:4.0f} s  {number + 1}: {await aside(edits.one)}")
            if draw.random() < 0.5:
                await asyncio.sleep(draw.uniform(0, 8))
            else:
                await aside(fleet.until_ready)
        print(f"Ready after {await aside(fleet.until_ready):.0f} s")
    print(f"{time.monotonic() - began:.0f} s, {orders.placed} orders: {await verdict(fleet, 240)}")
    await aside(fleet.change, "spec.deletionPolicy", "Retain")
