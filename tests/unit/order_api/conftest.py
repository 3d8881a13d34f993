"""The API before a desk in memory, at a fixed time, with a webhook secret."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.types import ASGIApp

from orderflow_order.http.api import build_app
from support.runtime.asgi import Answer, request
from support.runtime.order_desk import NOW, OrderDesk

SECRET = "a webhook's secret"  # noqa: S105 - of these tests only


@dataclass
class FrontDoor:
    """The API and the desk behind it."""

    app: ASGIApp
    desk: OrderDesk

    async def get(self, path: str) -> Answer:
        """Ask for something."""
        return await request(self.app, "GET", path)

    async def post(self, path: str, body: bytes = b"", **headers: str) -> Answer:
        """Send something; header names are given with `_` for `-`."""
        named: Mapping[str, Any] = {name.replace("_", "-"): value for name, value in headers.items()}
        return await request(self.app, "POST", path, body, named)


@pytest.fixture
def new_door() -> Callable[[str | None], FrontDoor]:
    """Make an API without orders that is told these secrets."""

    def make(secret: str | None) -> FrontDoor:
        desk = OrderDesk()
        return FrontDoor(build_app(desk, secret, lambda: NOW), desk)

    return make


@pytest.fixture
def door(new_door: Callable[[str | None], FrontDoor]) -> FrontDoor:
    """A fresh API without orders."""
    return new_door(SECRET)


@pytest.fixture
def order() -> dict[str, Any]:
    """A valid order, to be changed at will."""
    return {
        "customer": {"id": "c1", "email": "ann@example.org", "name": "Ann"},
        "lines": [{"sku": "apple", "quantity": 2, "unitPrice": 300}],
        "currency": "EUR",
        "payment": {"token": "tok"},
        "shipTo": {"name": "Ann", "street": "Main St 1", "city": "Ghent", "postcode": "9000", "country": "BE"},
    }
