"""Customers who change their mind while others work, compensations that fail, and a listener nobody waits for."""

import asyncio
import json
import signal
import subprocess

import pytest

from orderflow_cli.exit_codes import ExitCode
from support.flow.cli_process import invoke
from support.flow.fleet import Fleet, until
from support.flow.oracles import judge, until_at_rest
from support.flow.orders import Shop


async def test_cancelling_while_the_payment_runs_gives_the_money_back(shop: Shop) -> None:
    """The cancellation overtakes the capture: what is captured afterwards goes straight back."""
    await shop.provider(latencyMs=3000)  # longer than a cancellation takes on a busy machine
    order = await shop.place()
    await shop.until(order, "RESERVED")
    await _until_called(shop.fleet, order)
    assert await shop.ask(order, "cancel") == 202
    ended = await shop.until(order)
    assert (ended["state"], ended["reason"]) == ("CANCELLED", "CUSTOMER")
    assert await _money(shop.fleet, order) == ("REFUNDED", 1000, 1000)
    assert "PAYMENT_PROCESSED" not in await shop.timeline(order)


async def test_an_order_is_cancelled_and_resumed_by_command(shop: Shop) -> None:
    """What the API would say, the command says: done, not possible any more, or not there; so does its exit code."""

    async def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(invoke, *arguments, "--url", shop.fleet.url("order-0", ""), "-o", "json")

    await shop.provider(latencyMs=1500)
    order = await shop.place()
    cancelled = await ask("orders", "cancel", order)
    assert (cancelled.returncode, json.loads(cancelled.stdout)["items"][0]["state"]) == (ExitCode.DONE, "CANCELLING")
    assert (await shop.until(order))["reason"] == "CUSTOMER"
    refused = await ask("orders", "resume", order)
    assert refused.returncode == ExitCode.REFUSED
    assert "only a COMPENSATION_FAILED order" in json.loads(refused.stdout)["items"][0]["problem"]
    assert (await ask("orders", "cancel", "0" * 36)).returncode == ExitCode.UNKNOWN
    away = await asyncio.to_thread(invoke, "orders", "cancel", order, "--url", "http://127.0.0.1:1")
    assert (away.returncode, "does not answer" in away.stderr) == (ExitCode.REFUSED, True)


async def test_cancelling_while_a_payment_is_being_declined_charges_nothing(shop: Shop) -> None:
    """The cancellation overtakes the refusal: one reason stands, the customer's."""
    await shop.provider(latencyMs=1500)
    order = await shop.place(card="tok_declined")
    await _until_called(shop.fleet, order)
    assert await shop.ask(order, "cancel") == 202
    ended = await shop.until(order)
    assert (ended["state"], ended["reason"]) == ("CANCELLED", "CUSTOMER")
    assert await _money(shop.fleet, order) == ("FAILED", 0, 0)


async def test_cancelling_after_the_capture_refunds_and_restocks(shop: Shop) -> None:
    """The capture comes first: a paid order whose shipment is still to come is undone, money before stock."""
    shop.fleet.processes["shipping-0"].send_signal(signal.SIGSTOP)
    try:
        order = await shop.place()
        await shop.until(order, "PAID")
        assert await shop.ask(order, "cancel") == 202
        ended = await shop.until(order)
    finally:
        shop.fleet.processes["shipping-0"].send_signal(signal.SIGCONT)
    assert (ended["state"], ended["reason"]) == ("CANCELLED", "CUSTOMER")
    assert await _money(shop.fleet, order) == ("REFUNDED", 1000, 1000)


async def test_cancelling_before_payment_has_heard_of_the_order_charges_nothing_for_good(shop: Shop) -> None:
    """Payment is away while an order is placed and cancelled; when it is back it finds both, and nothing is kept."""
    shop.fleet.kill("payment-0", signal.SIGTERM)
    order = await shop.place()
    await shop.until(order, "RESERVED")
    assert await shop.ask(order, "cancel") == 202
    shop.fleet.start("payment")
    assert (await shop.until(order))["reason"] == "CUSTOMER"
    _, captured, refunded = await _money(shop.fleet, order)
    assert captured == refunded


async def test_a_completed_order_is_cancelled_no_more(shop: Shop) -> None:
    """What is on its way is refused with a conflict, an unknown order is not found, and a repeat changes nothing."""
    order = await shop.place()
    assert (await shop.until(order))["state"] == "COMPLETED"
    assert await shop.ask(order, "cancel") == 409
    assert await shop.ask(order, "resume") == 409
    assert await shop.ask("00000000-0000-0000-0000-000000000000", "cancel") == 404
    gone = await shop.place(lines=[("NO-SUCH-THING", 1, 1)])
    await shop.until(gone)
    assert await shop.ask(gone, "cancel") == 202
    assert (await shop.show(gone))["reason"] == "OUT_OF_STOCK"


async def test_a_refused_refund_is_a_failed_compensation_that_an_operator_resumes(shop: Shop) -> None:
    """COMPENSATION_FAILED stands until the provider relents: resumed in vain, then resumed to the end."""
    order = await shop.place(card="tok_refund_rejected", country="XX")
    failed = await shop.until(order, "COMPENSATION_FAILED")
    assert failed["undo"] == ["PAYMENT", "STOCK"]
    assert await shop.ask(order, "resume") == 202
    again = await shop.until(order, "COMPENSATION_FAILED")
    assert again["attempt"] == 2
    assert await _money(shop.fleet, order) == ("REFUND_FAILED", 1000, 0)
    await shop.provider(refuseRefunds=False)
    assert await shop.ask(order, "resume") == 202
    assert (await shop.until(order))["undo"] == []
    assert await _money(shop.fleet, order) == ("REFUNDED", 1000, 1000)


async def test_an_order_does_not_wait_for_notification(shop: Shop) -> None:
    """With notification down, orders complete, nothing is compensated, and customers hear of it when it is back."""
    shop.fleet.kill("notification-0")
    orders = [await shop.place() for _ in range(5)]
    assert [(await shop.until(order))["state"] for order in orders] == ["COMPLETED"] * 5
    shop.fleet.start("notification")

    async def told() -> bool:
        query = "SELECT count(*) AS n FROM notification.notifications WHERE order_id = ANY($1)"
        return (await shop.fleet.fetch(query, orders))[0]["n"] == 30

    await until(told, "all customers are told of six steps")


@pytest.mark.parametrize("turn", range(3))
async def test_cancelling_at_any_moment_ends_in_one_way(shop: Shop, turn: int) -> None:
    """Sixty orders, some cancelled at once, some up to three orders later: each is completed or wholly undone."""
    orders = []
    for number in range(60):
        orders.append(await shop.place())
        await shop.ask(orders[max(0, number - (number + turn) % 4)], "cancel")
    ended = [(await shop.until(order))["state"] for order in orders]
    print(f"{ended.count('COMPLETED')} completed, {ended.count('CANCELLED')} cancelled")


async def test_nothing_is_left_over(shop: Shop) -> None:
    """After all of this the oracles hold for every order."""
    await until_at_rest(shop.fleet, 1)
    print(await judge(shop.fleet))


async def _until_called(fleet: Fleet, order: str) -> None:
    """Wait until payment has asked the provider, which takes its time."""

    async def called() -> bool:
        return bool(await fleet.fetch("SELECT 1 FROM payment.calls WHERE key = $1", order))

    await until(called, "payment has asked for the money", every=0.02)


async def _money(fleet: Fleet, order: str) -> tuple[str, int, int]:
    query = "SELECT state, captured, refunded FROM payment.payment WHERE order_id = $1"
    row = (await fleet.fetch(query, order))[0]
    return row["state"], row["captured"], row["refunded"]
