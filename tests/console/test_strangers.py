"""What does not come from the console's own pages is refused, logged, and changes nothing."""

import http.client
import re
from urllib.parse import urlsplit

import pytest

from support.console.stand import Stand


def ask(stand: Stand, method: str, path: str, body: str = "", **headers: str) -> http.client.HTTPResponse:
    """Send a request as any program on this machine can."""
    place = urlsplit(stand.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, sent)
    return connection.getresponse()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "", "127.0.0.1:1"])
def test_another_host_is_refused(stand: Stand, host: str) -> None:
    """A page that has its own name point at this machine reads nothing."""
    answer = ask(stand, "GET", "/orders", host=host)
    assert answer.status == 403
    assert b"<" not in answer.read()


@pytest.mark.parametrize(
    "path", ["/try-it/kill", "/try-it/place", "/orders/x/cancel", "/orders/x/resume", "/jobs/propose", "/jobs/1/pause"]
)
def test_a_forged_form_changes_nothing(stand: Stand, path: str) -> None:
    """A form is refused from another origin, from none, and from our own without its token."""
    form = {"content_type": "application/x-www-form-urlencoded"}
    body = "name=order&orders=1&payment=0&shipping=0&unknown=0"
    for headers, token in (
        ({"origin": "http://evil.example"}, _token(stand)),
        ({"origin": "null"}, _token(stand)),
        ({}, _token(stand)),
        ({"origin": stand.url}, ""),
        ({"origin": stand.url}, "wrong"),
    ):
        answer = ask(stand, "POST", path, f"{body}&token={token}", **form, **headers)
        assert answer.status == 403, headers
    log = (stand.state / "shop" / "logs" / "orderflow_console.log").read_text()
    assert f"refused POST '{path}'" in log


def test_every_answer_forbids_what_is_not_ours(stand: Stand) -> None:
    """Pages, errors and files alike tell the browser to run and frame nothing else."""
    for path in ("/", "/nothing", "/static/console.js", "/static/nothing"):
        answer = ask(stand, "GET", path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


def _token(stand: Stand) -> str:
    found = re.search(r'name="token" value="([^"]+)"', ask(stand, "GET", "/try-it").read().decode())
    assert found
    return found.group(1)
