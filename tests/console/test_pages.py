"""Every page of the console: it shows what is there, can be read by everyone, and takes no event's text for its own."""

import re
import time

import pytest
from playwright.sync_api import Browser, Page, expect

from support.console.stand import MARKUP, SCREENSHOTS, Stand

PAGES = (
    "/",
    "/orders",
    "/dead-letters",
    "/jobs",
    "/events",
    "/events/shop.order-created",
    "/topics",
    "/topics/shop.order-created",
    "/catalogue",
    "/try-it",
    "/services/payment",
    "/orders/none",
)


@pytest.mark.parametrize("path", [*PAGES, "ORDER", "LETTER", "JOB"])
def test_a_page_breaks_no_rule_of_accessibility(
    browser: Browser, stand: Stand, axe: str, path: str, order: str, letter: str, job: str
) -> None:
    """Axe finds nothing on any page, in neither palette, on a screen as wide as a telephone's."""
    context = browser.new_context(base_url=stand.url, color_scheme="light", viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto({"ORDER": f"/orders/{order}", "LETTER": letter, "JOB": job}.get(path, path))
    name = re.sub(r"\W+", "-", path.lower()).strip("-") or "flow"
    page.evaluate(axe)
    found = page.evaluate("axe.run()")["violations"]
    page.screenshot(path=SCREENSHOTS / f"{name}-light.png", full_page=True)
    page.emulate_media(color_scheme="dark")
    found += page.evaluate("axe.run({runOnly: ['color-contrast']})")["violations"]
    page.screenshot(path=SCREENSHOTS / f"{name}-dark.png", full_page=True)
    wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    context.close()
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
    assert not wide, "the page scrolls sideways"


def test_the_flow_moves_while_it_is_looked_at(page: Page, stand: Stand) -> None:
    """An order that is placed while the page stands open is counted on its arrows, without another load."""
    page.goto("/")
    handled = page.locator("td [data-cell='total:ORDER_CREATED:inventory']")
    before = int(handled.text_content().replace(",", ""))
    stand.place(currency="EUR", customer={"id": "moving", "email": "a@example.com", "name": "A"})
    expect(handled).to_have_text(f"{before + 1}", timeout=10_000)
    page.screenshot(path=SCREENSHOTS / "flow-wide.png", full_page=True)


def test_updates_can_be_paused_and_go_on(page: Page, stand: Stand) -> None:
    """A paused page stays as it is; it catches up when it goes on."""
    page.goto("/")
    handled = page.locator("td [data-cell='total:ORDER_CREATED:inventory']")
    page.get_by_role("button", name="Pause").click()
    before = int(handled.text_content().replace(",", ""))
    stand.place(customer={"id": "paused", "email": "a@example.com", "name": "A"})
    time.sleep(2.5)
    expect(handled).to_have_text(f"{before}")
    page.get_by_role("button", name="Go on").click()
    expect(handled).to_have_text(f"{before + 1}", timeout=10_000)


def test_orders_are_found_by_what_they_are(page: Page, stand: Stand) -> None:
    """A filter shows the orders that are like it, keeps itself in the address, and says so when there is none."""
    order = stand.place(customer={"id": "filtered", "email": "f@example.com", "name": "F"})
    page.goto("/orders")
    page.get_by_label("Customer").fill("filtered")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_role("link", name=order)).to_be_visible()
    assert "customer=filtered" in page.url
    page.get_by_text("The same as a command").click()
    expect(page.locator("code", has_text="orderflow orders list --customer filtered")).to_be_visible()
    page.get_by_label("Customer").fill("nobody")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_text("No order is like that")).to_be_visible()


def test_an_order_tells_its_story(page: Page, order: str) -> None:
    """Its timeline has what each service did, and the command that tells the same."""
    page.goto(f"/orders/{order}")
    for event in ("ORDER_CREATED", "STOCK_RESERVED", "PAYMENT_PROCESSED"):
        expect(page.locator("tbody th", has_text=event).first).to_be_visible()
    page.get_by_text("The same as a command").last.click()
    expect(page.locator("code", has_text=f"orderflow trace {order}")).to_be_visible()


def test_what_an_event_says_is_text(page: Page, letter: str) -> None:
    """Markup in a record's key, data and headers is shown as it was written, and none of it is run."""
    page.goto("/dead-letters?service=payment")
    expect(page.locator("td", has_text=MARKUP).first).to_be_visible()
    page.goto(letter)
    expect(page.get_by_text(MARKUP).first).to_be_visible()
    assert page.locator("main img").count() == 0
    assert page.title() != "taken"
    page.get_by_role("link", name=re.compile("onerror")).click()
    assert page.title() != "taken"


@pytest.mark.parametrize("key", ["a/b", "..", "a/../b?c=d#e"])
def test_a_key_has_its_page_whatever_it_is(page: Page, stand: Stand, key: str) -> None:
    """What a producer chose for a key is the page's own when a person follows it from the dead letter."""
    stand.poison("stock-restored", key, {})
    found = stand.eventually('SELECT id FROM "order".dead_letters WHERE key = $1', key)
    page.goto(f"/dead-letters/order/{found}")
    page.get_by_role("link", name=key, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Order {key}")
    expect(page.locator("tr.dead")).to_have_count(1)


def test_personal_fields_are_masked(page: Page, stand: Stand) -> None:
    """An event whose data are personal by the resource is shown without them."""
    stand.poison("order-created", "masked", {"customer": {"email": "masked@example.com"}})
    stand.eventually("SELECT 1 FROM inventory.dead_letters WHERE key = 'masked'")
    page.goto("/dead-letters?service=inventory&type=&reason=&key=masked")
    page.locator("tbody th a code").first.click()
    expect(page.get_by_text("what the resource calls personal")).to_be_visible()
    assert "masked@example.com" not in page.content()


def test_a_page_that_is_not_there_says_what_to_do(page: Page) -> None:
    """An address of nothing answers with what it lacks and a way on."""
    answer = page.goto("/nothing")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_text("There is no page /nothing")).to_be_visible()


def test_events_are_looked_through_from_the_newest(page: Page, stand: Stand) -> None:
    """A topic's events are found by key, and the page says how many it looked at."""
    order = stand.place()
    stand.eventually("SELECT 1 FROM inventory.inbox WHERE type = 'ORDER_CREATED'")
    page.goto("/events")
    page.get_by_role("link", name="ORDER_CREATED").click()
    expect(page.get_by_text("There are no others")).to_be_visible()
    page.get_by_label("Key").fill(order)
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("link", name=order)).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.locator("tbody summary").click()
    expect(page.locator("pre")).to_contain_text("SKU-0001")
    assert "ada@example.com" not in page.content()


def test_events_are_found_by_an_expression(page: Page, stand: Stand) -> None:
    """What it finds is shown with the command for the same; what is wrong with it is told with its place."""
    stand.poison("order-created", "cel", {"weight": 41})
    stand.poison("order-created", "cel", {"weight": 43})
    page.goto("/events/shop.order-created?key=cel")
    page.get_by_label("Expression").fill("data.weight > 42")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_text("The same as a command").click()
    expect(page.locator("code", has_text="--where 'data.weight > 42'")).to_be_visible()
    page.goto("/events/shop.order-created?where=data.weight+%3E")
    expect(page.get_by_role("alert")).to_contain_text("1:14")


def test_what_is_masked_is_not_found_by_asking(page: Page, stand: Stand) -> None:
    """A search for a personal value finds nothing: it looks at what is shown."""
    stand.place()
    page.goto("/events/shop.order-created?part=SKU-0001")
    expect(page.locator("tbody tr").first).to_be_visible()
    page.goto("/events/shop.order-created?part=ada@example.com")
    expect(page.get_by_text("None of these is like that")).to_be_visible()


def test_a_wrong_address_says_what_is_wrong(page: Page) -> None:
    """Whatever an address has wrong is answered by a sentence, never by a fault of the console."""
    for path in (
        "/orders?since=yesterday",
        "/orders?after=nowhere",
        "/orders?phase=Lost",
        "/orders?state=LOST",
        "/orders/x?from=-1",
        "/dead-letters/payment/no-id",
        "/dead-letters?service=nobody",
        "/events/shop.order-created?partition=x",
        "/events/shop.order-created?partition=999",
        "/events/shop.order-created?after=here",
        f"/events/shop.order-created?partition={10**30}",
        "/events/nothing",
        "/events/shop.payment.dead-letters?part=ada@example.com",
        "/topics/nothing",
        "/jobs/999",
        f"/jobs/{10**30}",
        "/services/nothing",
    ):
        answer = page.goto(path)
        assert answer is not None
        assert 400 <= answer.status < 500, f"{path}: {answer.status}"
        expect(page.get_by_role("alert")).to_be_visible()
