"""A real flow on this machine, and a browser that looks at its console; both are started once for all tests."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from support.console.sizes import Visitor
from support.console.stand import MARKUP, Stand
from support.flow.cli_process import FLOW, OrderFlowProcess
from support.tools.npm_tools import npm_file
from support.tools.scratch import scratch_directory


@pytest.fixture(scope="session")
def stand() -> Iterator[Stand]:
    """The reference flow, without orders but those that tests place."""
    with scratch_directory() as folder:
        process = OrderFlowProcess("run", str(FLOW), "--orders", "0", cwd=folder)
        try:
            process.wait_for("console: ")
            yield Stand(process, folder / ".orderflow")
            process.interrupt()
        finally:
            process.interrupt_hard()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The machine's Chromium."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The rules of accessibility, as a script."""
    return npm_file("axe", "axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def page(browser: Browser, stand: Stand) -> Iterator[Page]:
    """A page of the console in a fresh profile; whatever it says as an error of its own fails the test."""
    context = browser.new_context(base_url=stand.url, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if "Content Security Policy" in said.text else None)
    page.on("request", lambda sent: problems.append(sent.url) if not sent.url.startswith(stand.url) else None)
    yield page
    context.close()
    assert not problems


@pytest.fixture(scope="session")
def order(stand: Stand) -> str:
    """An order that has ended."""
    order = stand.place()
    stand.eventually("""SELECT 1 FROM "order".orders WHERE order_id = $1 AND state = 'COMPLETED'""", order)
    return order


@pytest.fixture(scope="session")
def letter(stand: Stand) -> str:
    """The path of a dead letter of payment, with markup in all that it says."""
    stand.poison("stock-reserved", MARKUP, {MARKUP: MARKUP, "list": [MARKUP]})
    found = stand.eventually("SELECT id FROM payment.dead_letters WHERE key = $1", MARKUP)
    return f"/dead-letters/payment/{found}"


@pytest.fixture(scope="session")
def job(stand: Stand, letter: str) -> str:
    """The path of a job that nobody has begun with, about all dead letters of payment."""
    return Visitor(stand.url).post("/jobs/propose", kind="redrive", service=letter.split("/")[2])
