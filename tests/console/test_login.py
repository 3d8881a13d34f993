"""Logging in as people do, by a real provider, and what each role can and cannot; the console runs as its pod does."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from orderflow_cli.servers.ports import free_port
from support.console.pod import ConsolePod
from support.console.provider import CLIENT, PASSWORD, SECRET, Provider
from support.console.stand import MARKUP, SCREENSHOTS, Stand
from support.tools.scratch import scratch_directory

PEOPLE = ("viewer", "operator", "unmasker", "stranger")
ROLES = {"viewer": ["viewer@example.com"], "operator": ["operator@example.com"], "unmask": ["unmasker@example.com"]}
LogIn = Callable[[str], Page]


@pytest.fixture(scope="module")
def console(stand: Stand) -> Iterator[ConsolePod]:
    """A console before that flow, where people log in by a provider."""
    with scratch_directory() as folder:
        port = free_port()
        provider = Provider(folder, f"http://localhost:{port}/login/callback", PEOPLE)
        secret = {"secretKeyRef": {"name": "login", "key": "secret"}}
        oidc = {"issuer": provider.issuer, "clientId": CLIENT, "clientSecret": secret}
        given = {"auth": {"oidc": oidc | {"groupsClaim": "email", "roles": ROLES}}}
        pod = ConsolePod(stand, folder, port, given, {"CONSOLE_CLIENT_SECRET": SECRET})
        yield pod
        pod.stop()
        provider.stop()


@pytest.fixture
def log_in(browser: Browser, console: ConsolePod) -> Iterator[LogIn]:
    """Log a person in, in a profile of its own."""
    contexts: list[BrowserContext] = []

    def begin(name: str) -> Page:
        contexts.append(browser.new_context(base_url=console.url))
        page = contexts[-1].new_page()
        page.goto("/orders?state=PAID")
        page.get_by_label("Username").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Login").click()
        return page

    yield begin
    for context in contexts:
        context.close()


def forge(page: Page, path: str, token: str | None = None) -> int:
    """Post a form as a page of the console itself would, and give the answer's status."""
    sent = {"origin": re.sub(r"(//[^/]+).*", r"\1", page.url)}
    form = {"token": token} if token is not None else {}
    return page.context.request.post(path, form=form, headers=sent, max_redirects=0).status


def token_of(page: Page) -> str:
    """The token that this person's forms carry."""
    found = page.locator("form.person input[name=token]").get_attribute("value")
    assert found
    return found


def test_a_viewer_sees_and_changes_nothing(log_in: LogIn, order: str, letter: str, console: ConsolePod) -> None:
    """They come back to the page that they asked for; no button is there, and a form sent all the same is refused."""
    page = log_in("viewer")
    page.wait_for_url(f"{console.url}/orders?state=PAID")
    page.goto(f"/orders/{order}")
    assert page.get_by_role("button").all_text_contents() == ["Log out"]
    page.goto(letter)
    assert page.get_by_role("button", name="Put it back").count() == 0
    assert page.get_by_role("button", name=re.compile("personal")).count() == 0
    for path in (f"/orders/{order}/cancel", f"{letter}/redrive", f"{letter}/edit", f"{letter}/unmask", "/jobs/propose"):
        assert forge(page, path, token_of(page)) == 403, path
    log = console.log.read_text()
    assert "viewer" in log
    assert "has no role operator" in log
    assert "has no role unmask" in log
    page.goto("/")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "viewer.png")


def test_an_operator_changes_and_is_told_of(log_in: LogIn, letter: str, stand: Stand) -> None:
    """What they put back is put back; the trail says who it was; a form without their own token does nothing."""
    page = log_in("operator")
    page.goto(letter)
    assert "example" not in page.locator("pre").all_text_contents()[-1]
    for token in (None, "", "wrong"):
        assert forge(page, f"{letter}/redrive", token) == 403
    assert forge(page, f"{letter}/unmask", token_of(page)) == 403
    page.get_by_role("button", name="Put it back").click()
    page.wait_for_url(re.compile("/jobs/"))
    query = "SELECT 1 FROM console.audit WHERE subject = $1 AND what = 'operator' AND who LIKE '%(id-operator)'"
    stand.eventually(query, f"{letter}/redrive")
    stand.eventually("SELECT 1 FROM console.jobs WHERE state = 'Done' AND refused = 0 AND person LIKE '%(id-operator)'")


def test_what_is_personal_is_shown_to_whom_it_may_and_noted(log_in: LogIn, stand: Stand) -> None:
    """The page shows it once, as text; the trail says who saw it, and a reload asks again."""
    stand.poison("order-created", "personal", {"shipTo": MARKUP})
    found = stand.eventually("SELECT id FROM inventory.dead_letters WHERE key = 'personal'")
    letter = f"/dead-letters/inventory/{found}"
    page = log_in("unmasker")
    page.goto(letter)
    assert MARKUP not in page.locator("pre").all_text_contents()[-1]
    page.get_by_role("button", name=re.compile("Show what is personal")).click()
    assert MARKUP in page.locator("pre").all_text_contents()[-1]
    assert "taken" not in page.title()
    page.goto(letter)
    assert MARKUP not in page.locator("pre").all_text_contents()[-1]
    stand.eventually("SELECT 1 FROM console.audit WHERE subject = $1 AND what = 'unmask'", f"{letter}/unmask")
    assert forge(page, f"{letter}/redrive", token_of(page)) == 403


def test_whoever_is_in_no_group_is_not_let_in(log_in: LogIn, console: ConsolePod) -> None:
    """The provider knows them, the resource does not: they are told so, and see nothing."""
    page = log_in("stranger")
    page.get_by_role("heading", name="You are not logged in").wait_for()
    assert page.context.request.get("/orders", max_redirects=0).status == 401
    assert "no group that has a role" in console.log.read_text()


def test_logging_out_ends_the_session(log_in: LogIn) -> None:
    """The cookie of before opens nothing any more."""
    page = log_in("viewer")
    page.get_by_role("button", name="Log out").wait_for()
    before = page.context.cookies()
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("heading", name="You have logged out").wait_for()
    page.context.add_cookies(before)
    assert page.context.request.get("/orders", max_redirects=0).status == 401


@pytest.mark.parametrize("query", ["", "?state=x&code=y", "?code=y", "?error=access_denied&state=x"])
def test_an_answer_that_nobody_waits_for_logs_nobody_in(browser: Browser, console: ConsolePod, query: str) -> None:
    """Without the cookie of the login that began, whatever stands in the address is refused."""
    context = browser.new_context(base_url=console.url)
    answer = context.request.get(f"/login/callback{query}")
    assert answer.status == 403
    assert not [one for one in context.cookies() if one.get("name") == "orderflow.team-a.shop"]
    context.close()


def test_the_pages_are_read_by_a_role_that_may_read_alone(log_in: LogIn, order: str) -> None:
    """Each page has its answer: the role that the migration made may read all that they ask for."""
    page = log_in("viewer")
    for path in ("/", "/orders", f"/orders/{order}", "/dead-letters", "/jobs", "/events", "/topics", "/catalogue"):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200, path
        assert page.locator(".problem:not(:empty)").count() == 0, path
    assert page.get_by_role("link", name="Try it").count() == 0
