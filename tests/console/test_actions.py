"""What a person does in the console: each action changes the flow, and shows the command that does the same."""

import json
import os
import signal

from playwright.sync_api import Page, expect

from support.console.stand import Stand
from support.flow.cli_process import orderflow

_STATE = 'SELECT 1 FROM "order".orders WHERE order_id = $1 AND state = $2'


def test_an_order_is_cancelled(page: Page, stand: Stand) -> None:
    """An order whose payment has no answer yet is cancelled by its button, and nothing of it is left to undo."""
    with stand.frozen("payment-provider"):
        order = stand.place()
        stand.eventually(_STATE, order, "RESERVED")
        page.goto(f"/orders/{order}")
        page.get_by_text("The same as a command").first.click()
        expect(page.locator("code", has_text=f"orderflow orders cancel {order}")).to_be_visible()
        page.get_by_role("button", name="Cancel this order").click()
        expect(page.locator(".facts .phase")).to_have_text("CANCELLING")
    stand.eventually(_STATE, order, "CANCELLED")
    log = (stand.state / "shop" / "logs" / "orderflow_console.log").read_text()
    assert f"asks for '/orders/{order}/cancel'" in log


def test_what_an_order_refuses_is_told(page: Page, stand: Stand) -> None:
    """A button of a page that is out of date answers with why nothing was done."""
    with stand.frozen("payment-provider"):
        order = stand.place()
        stand.eventually(_STATE, order, "RESERVED")
        page.goto(f"/orders/{order}")
    stand.eventually(_STATE, order, "COMPLETED")
    page.get_by_role("button", name="Cancel this order").click()
    expect(page.get_by_role("alert")).to_contain_text("refuses to cancel")


def test_sample_orders_are_placed(page: Page, stand: Stand) -> None:
    """Orders are placed as many as asked for, failing as asked for, by the command that the page shows."""
    page.goto("/try-it")
    page.get_by_label("Orders").fill("7")
    page.get_by_label("Payments declined, %").fill("100")
    page.get_by_role("button", name="Place them").click()
    expect(page.get_by_text("7 orders placed")).to_be_visible()
    page.get_by_text("The same as a command").click()
    expect(page.locator("code", has_text="orderflow orders sample --orders 7 --fail payment=100%")).to_be_visible()
    stand.eventually("""SELECT 1 FROM "order".orders WHERE reason = 'PAYMENT_DECLINED' HAVING count(*) >= 7""")


def test_a_service_is_killed_and_heals(page: Page, stand: Stand) -> None:
    """What is killed is started again, and the console shows it well."""
    page.goto("/try-it")
    page.get_by_label("What").select_option("payment")
    page.get_by_role("button", name="Kill it").click()
    expect(page.get_by_text("killed payment")).to_be_visible()
    page.goto("/")
    expect(page.locator("td [data-cell='state:shipping']")).to_have_text("well", timeout=30_000)


def test_the_console_dies_and_the_flow_goes_on(page: Page, stand: Stand) -> None:
    """A console that is killed takes nothing with it, and comes back."""
    service = stand.pid("order")
    os.kill(stand.pid("orderflow_console"), signal.SIGKILL)
    order = stand.place()
    stand.eventually(_STATE, order, "COMPLETED")
    assert stand.pid("order") == service
    stand.until_console_answers()
    page.goto(f"/orders/{order}")
    expect(page.locator(".facts .phase")).to_have_text("COMPLETED")


def test_all_that_a_filter_finds_is_put_back(page: Page, stand: Stand) -> None:
    """A bulk redrive tells its number first, does it to all letters and not to a page of them, and keeps the result."""
    for number in range(60):  # more than a page
        stand.poison("inventory-updated", f"bulk-{number}", {"orderId": "bulk"})
    stand.eventually("SELECT 1 FROM shipping.dead_letters HAVING count(*) = 60")
    page.goto("/dead-letters?service=shipping")
    expect(page.locator("table").last.locator("tbody tr")).to_have_count(50)
    page.get_by_role("button", name="Put all of these back").click()
    expect(page.get_by_text("60 of 60")).to_be_visible()
    stand.poison("inventory-updated", "late", {"orderId": "bulk"})  # it is like the filter, and was not shown
    stand.eventually("SELECT 1 FROM shipping.dead_letters WHERE key = 'late'")
    page.get_by_text("The same as a command").click()
    expect(page.locator("code", has_text="orderflow redrive shipping")).to_be_visible()
    page.get_by_role("button", name="Do it to 60").click()
    expect(page.locator("[data-cell=state]")).to_contain_text("Done", timeout=30_000)
    expect(page.locator("[data-cell=done]")).to_have_text("60")
    stand.eventually("SELECT 1 FROM shipping.dead_letters WHERE redrives = 1 HAVING count(*) = 60")
    assert stand.eventually("SELECT redrives FROM shipping.dead_letters WHERE key = 'late'") == 0
    page.goto("/jobs")
    expect(page.get_by_role("link", name="redrive").first).to_be_visible()


def test_one_dead_letter_is_put_back(page: Page, stand: Stand) -> None:
    """A letter's button puts it back, and the job keeps what became of it."""
    stand.poison("order-cancelled", "single", {})
    found = stand.eventually("SELECT id FROM shipping.dead_letters WHERE key = 'single'")
    page.goto(f"/dead-letters/shipping/{found}")
    page.get_by_role("button", name="Put it back").click()
    expect(page.locator("[data-cell=state]")).to_contain_text("Done", timeout=30_000)
    stand.eventually("SELECT 1 FROM shipping.dead_letters WHERE id = $1 AND redrives = 1", found)


def test_a_dead_letter_is_edited_and_put_back(page: Page, stand: Stand) -> None:
    """An edit that may not be is told beside what was written; another goes back once, and is kept by its hashes."""
    stand.poison("order-created", "edited", {"customer": {"email": "ada@example.com"}, "note": "was"})
    letter = stand.eventually("SELECT id FROM inventory.dead_letters WHERE key = 'edited'")
    page.goto(f"/dead-letters/inventory/{letter}")
    page.get_by_text("Edit it and put it back").click()
    data = page.get_by_label("Data, as JSON")
    assert "•••" in data.input_value()
    for wrong, told in (
        ('{"customer": {"email": "eve@example.com"}}', "/customer/email: it is personal"),
        ('{"note": ', "EOF while parsing"),
    ):
        data.fill(wrong)
        page.get_by_role("button", name="Put it back so").click()
        expect(page.get_by_role("alert")).to_contain_text(told)
        assert data.input_value() == wrong
    data.fill('{"customer": {"email": "•••"}, "note": "is"}')
    page.get_by_role("button", name="Put it back so").click()
    expect(page.locator("[data-cell=state]")).to_contain_text("Done", timeout=30_000)
    stand.eventually("SELECT 1 FROM inventory.dead_letters WHERE id = $1 AND redrives = 1 AND state = 'Dead'", letter)
    (row,) = [stand.eventually("""SELECT asked::text FROM "orderflow.console".jobs WHERE kind = 'edit'""")]
    assert set(json.loads(row)) == {"service", "id", "before", "after"}
    page.goto(f"/dead-letters/inventory/{letter}")
    expect(page.locator("pre").last).to_contain_text('"note": "is"')
    shown = orderflow(
        *("dead-letters", "get", "inventory", str(letter), "--unmask", "-o", "json"), cwd=stand.state.parent
    )
    assert json.loads(shown.stdout)["event"]["value"] == {"customer": {"email": "ada@example.com"}, "note": "is"}


def test_all_orders_of_a_customer_are_cancelled(page: Page, stand: Stand) -> None:
    """A bulk cancel takes the open orders that the filter finds, and no others."""
    with stand.frozen("payment-provider"):
        wanted = [stand.place(customer={"id": "bulk", "email": "b@example.com", "name": "B"}) for _ in range(3)]
        other = stand.place()
        for order in (*wanted, other):
            stand.eventually(_STATE, order, "RESERVED")
        page.goto("/orders?customer=bulk")
        page.get_by_role("button", name="Cancel all open ones").click()
        page.get_by_role("button", name="Do it to 3").click()
        expect(page.locator("[data-cell=state]")).to_contain_text("Done", timeout=30_000)
    for order in wanted:
        stand.eventually(_STATE, order, "CANCELLED")
    stand.eventually(_STATE, other, "COMPLETED")
