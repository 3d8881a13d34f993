"""What can go wrong with an order: a customer who changes his mind, a silent participant, events again or broken."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.cluster.cluster import aside, until
from support.cluster.shop_in_cluster import ShopInCluster, of_service
from support.flow.background_orders import verdict
from support.flow.cli_process import orderflow
from support.flow.fleet import until as eventually
from support.flow.orders import Shop, mixture
from support.records import raw_events


async def test_a_customer_cancels_while_the_payment_runs(shop: Shop) -> None:
    """The cancellation overtakes the capture: what is captured afterwards goes back."""
    await shop.provider(latencyMs=1500)
    order = await shop.place()
    await shop.until(order, "RESERVED")
    assert await shop.ask(order, "cancel") == 202
    ended = await shop.until(order)
    assert (ended["state"], ended["reason"]) == ("CANCELLED", "CUSTOMER")


async def test_a_compensation_that_fails_is_resumed(fleet: ShopInCluster, shop: Shop) -> None:
    """A refund that the provider refuses leaves the order COMPENSATION_FAILED until a person resumes it."""
    order = await shop.place(card="tok_refund_rejected", country="XX")
    failed = await shop.until(order, "COMPENSATION_FAILED")
    assert failed["undo"] == ["PAYMENT", "STOCK"]
    await shop.provider(refuseRefunds=False)
    assert await shop.ask(order, "resume") == 202
    assert (await shop.until(order, "CANCELLED"))["undo"] == []


async def test_nobody_waits_for_notification(fleet: ShopInCluster, shop: Shop) -> None:
    """Without notification orders complete and nothing is compensated; customers hear of it later."""
    with _without(fleet, "notification"):
        orders = await shop.place_all(mixture(10))
        states = [(await shop.until(order))["state"] for order in orders]
        assert states.count("COMPLETED") == 7
        assert not await fleet.count("SELECT count(*) FROM notification.notifications WHERE order_id = ANY($1)", orders)
    await verdict(fleet)


async def test_a_silent_participant_is_not_waited_for_beyond_the_deadline(fleet: ShopInCluster, shop: Shop) -> None:
    """Payment is away: at the deadline the order is being cancelled, and when payment is back it is undone."""
    await aside(fleet.change, "spec.saga.deadline", "5s")
    await aside(fleet.until_ready)
    with _without(fleet, "payment"):
        order = await shop.place()
        late = await shop.until(order, "CANCELLED", "COMPENSATION_FAILED")
        assert (late["state"], late["reason"]) == ("COMPENSATION_FAILED", "DEADLINE")
    assert (await shop.until(order, "CANCELLED"))["undo"] == []
    await aside(fleet.change, "spec.saga.deadline", "15m")
    await aside(fleet.until_ready)


async def test_events_again_and_in_any_order_change_nothing(fleet: ShopInCluster, shop: Shop) -> None:
    """All events of thirty ended orders come twice more, shuffled: no order, payment or unit of stock moves."""
    orders = await shop.place_all(mixture(30))
    await verdict(fleet)
    before = await raw_events.picture(fleet)
    again = [record for record in raw_events.records(fleet) if record[2].decode() in orders] * 2
    random.Random(7).shuffle(again)
    raw_events.publish(fleet, again)
    print(f"{len(again)} events again: {await verdict(fleet)}")
    assert await raw_events.picture(fleet) == before


async def test_an_old_event_is_lifted_to_today(fleet: ShopInCluster, shop: Shop) -> None:
    """ORDER_CREATED of version 1 knew no currency and no partial delivery; its order completes in euro."""
    created = await raw_events.placed_silently(fleet)
    data = json.loads(created.encode())
    del data["currency"], data["allowPartial"]
    raw_events.send(fleet, created, version=1, value=json.dumps(data).encode())
    assert (await shop.until(created.order_id))["state"] == "COMPLETED"


async def test_a_broken_event_is_repaired_and_redriven(fleet: ShopInCluster, shop: Shop, tmp_path: Path) -> None:
    """A garbled ORDER_CREATED is a dead letter of both subscribers; repaired by command it completes its order."""
    created = await raw_events.placed_silently(fleet)
    raw_events.send(fleet, created, value=created.encode()[:-7])
    for service in ("inventory", "notification"):
        await eventually(
            lambda name=service: fleet.count(f"SELECT count(*) FROM {name}.dead_letters WHERE state = 'Dead'"),  # noqa: S608 - a fixed name
            f"{service} has given it up",
        )
        _redrive(fleet, service, json.loads(created.encode()), tmp_path)
    assert (await shop.until(created.order_id))["state"] == "COMPLETED"
    print(await verdict(fleet))


def _redrive(fleet: ShopInCluster, service: str, value: object, folder: Path) -> None:
    at = [service, "--flow", "shop", "--bootstrap", fleet.bootstrap, "--database", fleet.admin_url]
    exported, repaired = folder / f"{service}.ndjson", folder / f"{service}-repaired.ndjson"
    listed = orderflow("dead-letters", "list", *at, "--export", str(exported), cwd=folder)
    assert listed.returncode == 0, listed.stdout
    lines = [json.loads(line) for line in exported.read_text().splitlines()]
    repaired.write_text("".join(json.dumps(line | {"value": value}) + "\n" for line in lines))
    done = orderflow("redrive", *at, "--repair-with", str(repaired), cwd=folder)
    assert "1 redriven, 0 refused" in done.stdout


@contextmanager
def _without(fleet: ShopInCluster, service: str) -> Iterator[None]:
    """Scale a service to no pod by hand while this lasts. Pods that drain still work, so their end is waited for."""
    _scale(fleet, service, 0)
    fleet.namespace.kubectl("wait", "pods", f"--selector={of_service(service)}", "--for=delete", "--timeout=90s")
    try:
        yield
    finally:
        _scale(fleet, service, 1)


def _scale(fleet: ShopInCluster, service: str, pods: int) -> None:
    """Say by hand how many pods a service has; its autoscaler leaves 0 alone."""
    fleet.namespace.kubectl("scale", f"deployment/shop-{service}", f"--replicas={pods}")
    ready = of_service(service)
    until(lambda: len(fleet.namespace.ready(ready)) == pods == len(fleet.namespace.pods(ready)), f"{pods} of {service}")
