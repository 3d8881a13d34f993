"""Events that come twice, out of order or in an old form: traces stay whole, and tell of each effect once."""

import json
import random
import signal
import sys
import uuid
from collections import Counter
from pathlib import Path

from orderflow_model.topics import event_topic
from support.flow.fleet import until
from support.flow.oracles import until_read
from support.flow.orders import Shop, order
from support.records import raw_events
from support.records.otlp import Received
from support.records.traces import order_trace
from support.runtime import delayed_consumer


async def test_events_that_come_again_add_no_effect_to_their_order_s_trace(shop: Shop, received: Received) -> None:
    """All records of an ended order come twice more, shuffled: nothing is processed, sent or performed once more."""
    placed = await shop.place(country="XX")
    assert (await shop.until(placed))["state"] == "CANCELLED"
    before = Counter((span.name, span.service) for span in (await order_trace(received, placed)).spans)
    again = [record for record in raw_events.records(shop.fleet) if record[2].decode() == placed] * 2
    random.Random(3).shuffle(again)
    raw_events.publish(shop.fleet, again)
    await until_read(shop.fleet)
    after = await order_trace(received, placed)
    assert Counter((span.name, span.service) for span in after.spans) == before
    assert len(after.roots()) == 1


async def test_events_that_overtake_each_other_stay_in_their_order_s_trace(
    shop: Shop, received: Received, tmp_path: Path
) -> None:
    """Inventory hears that an order is cancelled before it hears of the order: one trace, each hung on its sending."""
    fleet, held = shop.fleet, tmp_path / "held"
    held.write_text(event_topic(fleet.flow, fleet.flow.spec.event("ORDER_CREATED")).name)
    fleet.kill("inventory-0", signal.SIGTERM)
    command = [sys.executable, str(Path(delayed_consumer.__file__)), "inventory", str(held)]
    await fleet.until_ready(fleet.start("inventory", command=command))
    heard = "SELECT id FROM inventory.inbox WHERE type = 'ORDER_CANCELLED'"
    before = len(await fleet.fetch(heard))
    try:
        placed = await shop.place_alone(order(), {})
        assert await shop.ask(placed, "cancel") == 202

        async def more_heard() -> bool:
            return len(await fleet.fetch(heard)) > before

        await until(more_heard, "inventory has heard of the cancellation")
    finally:
        held.write_text("")
    assert (await shop.until(placed))["state"] == "CANCELLED"
    trace = await order_trace(received, placed)
    assert len(trace.roots()) == 1, trace
    assert not trace.misplaced(), trace
    created, cancelled = (trace.only(f"process ORDER_{what}", "inventory") for what in ("CREATED", "CANCELLED"))
    assert cancelled.began < created.began


async def test_an_event_in_an_old_form_is_processed_in_the_trace_that_it_names(shop: Shop, received: Received) -> None:
    """ORDER_CREATED of version 1, from a producer that traces: all that follows hangs on the producer's span."""
    created = await raw_events.placed_silently(shop.fleet)
    data = json.loads(created.encode())
    del data["currency"], data["allowPartial"]
    trace_id, span = uuid.uuid4().hex, uuid.uuid4().hex[:16]
    parent = ("traceparent", f"00-{trace_id}-{span}-01".encode())
    raw_events.send(shop.fleet, created, version=1, value=json.dumps(data).encode(), trace=[parent])
    assert (await shop.until(created.order_id))["state"] == "COMPLETED"
    trace = await order_trace(received, created.order_id)
    assert {(root.trace, root.parent) for root in trace.roots()} == {(trace_id, span)}
