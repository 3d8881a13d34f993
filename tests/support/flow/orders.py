"""Orders as clients place them, and the front door of a running fleet: tests act and look through HTTP alone."""

import asyncio
import itertools
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from orderflow_cli.servers.postgres import create_database, drop_database
from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import parse_flow
from orderflow_order.http.requests import KeyedOrderRequest
from support.flow.fleet import Fleet, until
from support.tools.names import unique_name

SHOP = Path(__file__).parents[3] / "manifests" / "flows" / "shop.yaml"
NO_RETRIES = {"retries": 0}
"""The first failure of an event is its last: whatever blames an event unjustly makes a dead letter."""
ENDED = ("COMPLETED", "CANCELLED")
_UNANSWERED = (502, 503, 504)  # the service's own word for "not now", and what a proxy before it says
_AWAY = (aiohttp.ClientError, TimeoutError)
_TIMEOUT = aiohttp.ClientTimeout(total=30)

Json = dict[str, Any]


def shop_flow(
    name: str,
    *,
    deadline: str = "15m",
    delivery: Json | None = None,
    tracing: Json | None = None,
    analytics: Json | None = None,
    privacy: Json | None = None,
) -> OrderFlow:
    """Give the reference flow under another name, and with other parts of its spec."""
    data = yaml.safe_load(SHOP.read_text())
    data["metadata"]["name"] = name
    data["spec"]["saga"]["deadline"] = deadline
    data["spec"]["defaults"]["delivery"] |= delivery or {}
    data["spec"]["tracing"] |= tracing or {}
    data["spec"] |= {"analytics": analytics} if analytics else {}
    data["spec"] |= {"privacy": privacy} if privacy else {}
    return parse_flow(data)


@contextmanager
def open_fleet(bootstrap: str, admin_url: Callable[[str], str], scratch: Path, **wishes: Any) -> Iterator[Fleet]:
    """Give a prepared fleet of the reference flow with its provider running; `wishes` as in `shop_flow`."""
    database, name = unique_name("db"), unique_name("f")
    (folder := scratch / name).mkdir()
    asyncio.run(create_database(admin_url("postgres"), database))
    fleet = Fleet(shop_flow(name, **wishes), bootstrap, admin_url(database), folder)
    asyncio.run(fleet.prepare())
    fleet.extra_env["PAYMENT_PROVIDER_TIMEOUT"] = "2"
    try:
        fleet.start_provider()
        yield fleet
    finally:
        fleet.stop()
        asyncio.run(drop_database(admin_url("postgres"), database))


def start_all(fleet: Fleet) -> None:
    """Start one instance of every service, and wait until they are ready."""
    names = [fleet.start(service.name) for service in fleet.flow.services]
    asyncio.run(fleet.until_ready("provider", *names))


def order(
    *,
    key: str | None = None,
    card: str = "tok_ok",
    country: str = "DE",
    lines: Sequence[tuple[str, int, int]] = (("SKU-0001", 1, 1000),),
    partial: bool = False,
) -> Json:
    """Give an order to place: `card` is a test token of the provider, `lines` are (sku, quantity, cents apiece)."""
    return {
        "idempotencyKey": key or uuid.uuid4().hex,
        "customer": {"id": "c1", "email": "ann@example.org", "name": "Ann"},
        "lines": [{"sku": sku, "quantity": n, "unitPrice": price} for sku, n, price in lines],
        "currency": "EUR",
        "payment": {"token": card},
        "shipTo": {"name": "Ann", "street": "Main St 1", "city": "Ghent", "postcode": "9000", "country": country},
        "allowPartial": partial,
    }


def order_id_of(wanted: Json) -> str:
    """Give the id that an order will have."""
    request = KeyedOrderRequest.model_validate_json(json.dumps(wanted))
    return request.created(request.idempotency_key).order_id


def mixture(number: int, prefix: str = "") -> list[Json]:
    """Give orders of every fate: of twenty, five end cancelled (two declined, two unserved, one not in stock)."""
    cards = {3: "tok_declined", 7: "tok_unknown", 11: "tok_lost_declined", 15: "tok_double", 17: "tok_refund_lost"}
    prefix = prefix or uuid.uuid4().hex
    return [
        order(
            key=f"{prefix}-{i}",
            card=cards.get(i % 20, "tok_ok"),
            country="XX" if i % 20 in (5, 17) else "DE",
            lines=(
                (f"SKU-{i % 100 + 1:04}", 1 + i % 3, 500 + i % 7),
                ("NOWHERE" if i % 20 in (9, 13) else "SKU-0001", 1, 250),
            ),
            partial=i % 20 == 13,
        )
        for i in range(number)
    ]


class Shop:
    """A client of the order service; it repeats what was not answered, with the same key, as clients should."""

    def __init__(self, fleet: Fleet, http: aiohttp.ClientSession, instances: Sequence[str]) -> None:
        self.fleet = fleet
        self._http = http
        self._instances = itertools.cycle(instances)

    async def place(self, **wishes: Any) -> str:
        """Place one order and give its id."""
        return (await self.place_all([order(**wishes)]))[0]

    async def place_all(self, orders: Iterable[Json]) -> list[str]:
        """Place orders in batches, each until it is answered; give their ids."""
        placed, rest = [], list(orders)
        while rest:
            batch, rest = rest[:500], rest[500:]
            answer = await self._post(lambda: self._url("/orders/batch"), batch)
            placed += [result["id"] for result in answer["results"]]
        return placed

    async def show(self, order_id: str) -> Json:
        """Give an order as it stands."""
        return await self._get(f"/orders/{order_id}")

    async def timeline(self, order_id: str) -> list[str]:
        """Give what came to an order or was decided of it, oldest first."""
        return [entry["what"] for entry in (await self.whole_timeline(order_id))["entries"] if "state" in entry]

    async def whole_timeline(self, order_id: str) -> Json:
        """Give all that the order service tells of an order."""
        return await self._get(f"/orders/{order_id}/timeline")

    async def ask(self, order_id: str, verb: str, headers: Mapping[str, str] | None = None) -> int:
        """Cancel or resume an order; give the HTTP status."""
        while True:
            async with self._http.post(self._url(f"/orders/{order_id}/{verb}"), headers=headers) as answer:
                if not _lost_by_proxy(answer.status, await answer.text()):
                    return answer.status

    async def until(self, order_id: str, *states: str, seconds: float = 60) -> Json:
        """Wait until the order is in one of these states, and give it."""
        wanted = states or ENDED
        seen: list[Json] = [{}]

        async def there() -> bool:
            seen[0] = await self.show(order_id)
            return seen[0]["state"] in wanted

        try:
            await until(there, "", seconds, every=0.05)
        except AssertionError:
            raise AssertionError(f"not {wanted} in {seconds} s: {seen[0]}") from None
        return seen[0]

    async def provider(self, **faults: Any) -> None:
        """Set how the provider misbehaves; what is not named behaves."""
        await self._post(lambda: self.fleet.url("provider", "/faults"), faults)

    async def ledger(self) -> Json:
        """Give what the provider itself did."""
        async with self._http.get(self.fleet.url("provider", "/ledger")) as answer:
            return dict(await answer.json())

    async def place_alone(self, wanted: Json, headers: Mapping[str, str]) -> str:
        """Place one order by itself, with these headers, and give its id."""
        body = {name: value for name, value in wanted.items() if name != "idempotencyKey"}
        headers = {"idempotency-key": wanted["idempotencyKey"], **headers}
        async with self._http.post(self._url("/orders"), json=body, headers=headers) as answer:
            assert answer.status in (200, 201), await answer.text()
            return str((await answer.json())["id"])

    async def _post(self, url: Callable[[], str], body: Any) -> Json:
        while True:
            try:
                async with self._http.post(url(), json=body) as answer:
                    if answer.status == 200:
                        return dict(await answer.json())
                    text = await answer.text()
                    assert answer.status in _UNANSWERED or _lost_by_proxy(answer.status, text), (
                        f"{answer.status}: {text}"
                    )
            except _AWAY:
                pass
            await asyncio.sleep(0.2)

    async def _get(self, path: str) -> Json:
        async with self._http.get(self._url(path)) as answer:
            assert answer.status == 200, f"{answer.status}: {await answer.text()}"
            return dict(await answer.json())

    def _url(self, path: str) -> str:
        return self.fleet.url(next(self._instances), path)


def _lost_by_proxy(status: int, text: str) -> bool:
    """Tell whether a cluster's proxy answered: it took a kept connection that the other side was just closing."""
    return status >= 500 and text.rstrip().endswith("EOF")


@asynccontextmanager
async def shop_of(fleet: Fleet, *instances: str) -> AsyncIterator[Shop]:
    """Open a client of a fleet whose order service runs as these processes."""
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as http:
        yield Shop(fleet, http, instances or ("order-0",))
