"""The address of a key's page, for all that a producer may choose for a key."""

from urllib.parse import unquote, urlsplit

import pytest
from starlette.requests import Request
from starlette.routing import Match

from orderflow_console.web.pages import orders
from orderflow_console.web.rendering import order_path

KEYS = (
    "o1",
    "a/b",
    "/",
    "a//b/",
    "x/cancel",
    ".",
    "..",
    "a/../b",
    "",
    "-",
    "50%",
    "%2F",
    "q?a=b&key=c",
    "#h",
    "é ☃",
    "\\",
)


def asked(address: str, method: str) -> tuple[str, str]:
    """Return which function answers an address as a browser sends it, and for which key."""
    split = urlsplit(address)
    assert not {".", ".."} & set(split.path.split("/")), "a browser takes it for a folder"
    scope = {
        "type": "http",
        "method": method,
        "path": unquote(split.path),
        "query_string": split.query.encode(),
        "headers": [],
    }
    for route in orders.ROUTES:
        match, found = route.matches(scope)
        if match is Match.FULL:
            return route.path.rpartition("/")[2], orders._key(Request(scope | found))
    raise AssertionError(f"nobody answers {address}")


@pytest.mark.parametrize("key", KEYS)
def test_every_key_has_its_page_and_its_actions(key: str) -> None:
    """What is linked is answered, for the very key."""
    assert asked(order_path(key), "GET") == ("{id:path}", key)
    assert asked(order_path(key, "/cancel"), "POST") == ("cancel", key)
    assert asked(order_path(key, "/resume"), "POST") == ("resume", key)
