"""Makes plausible sample orders, the same for the same seed. `orderflow run` posts them to the order service.

Failures are chosen by the order's data, as a real provider's test cards do: a token that is declined, a token whose
answer is lost, a country no carrier serves.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

SKUS = 100
_FIRST = ("Ada", "Bela", "Chiara", "Dario", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kaya", "Lena")
_LAST = ("Amsel", "Brandt", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Horvat", "Ivanov", "Jansen")
_STREETS = ("Linden Street", "Harbour Road", "Mill Lane", "Station Road", "Garden Row", "High Street")
_PLACES = (("Berlin", "10115", "DE"), ("Lyon", "69001", "FR"), ("Porto", "4000-008", "PT"), ("Gent", "9000", "BE"))


@dataclass(frozen=True)
class FailureRates:
    """Shares of orders, from 0 to 1: declined payments, refused shipments, payments whose answer is lost."""

    payment: float = 0
    shipping: float = 0
    unknown: float = 0


def sample_orders(seed: str, rates: FailureRates) -> Iterator[dict[str, Any]]:
    """Yield endless orders in the API's form, each with its idempotency key `sample-<seed>-<n>`, n from 1."""
    rng = random.Random(seed)  # noqa: S311 - the same seed must give the same orders
    number = 0
    while True:
        number += 1
        yield {"idempotencyKey": f"sample-{seed}-{number}"} | _order(rng, rates)


def _order(rng: random.Random, rates: FailureRates) -> dict[str, Any]:
    first, last = rng.choice(_FIRST), rng.choice(_LAST)
    email = f"{first}.{last}@example.com".lower()
    return {
        "customer": {"id": f"c{rng.randrange(100_000)}", "email": email, "name": f"{first} {last}"},
        "lines": _lines(rng),
        "currency": "EUR",
        "payment": {"token": _token(rng, rates)},
        "shipTo": _address(rng, f"{first} {last}", rates),
        "allowPartial": False,
    }


def _lines(rng: random.Random) -> list[dict[str, Any]]:
    skus = rng.sample(range(1, SKUS + 1), rng.choices((1, 2, 3), weights=(6, 3, 1))[0])
    return [
        {"sku": f"SKU-{sku:04}", "quantity": rng.randint(1, 3), "unitPrice": 499 + 100 * (sku % 40)} for sku in skus
    ]


def _token(rng: random.Random, rates: FailureRates) -> str:
    draw = rng.random()
    if draw < rates.payment:
        return "tok_declined"
    return "tok_unknown" if draw < rates.payment + rates.unknown else "tok_visa"


def _address(rng: random.Random, name: str, rates: FailureRates) -> dict[str, str]:
    city, postcode, country = rng.choice(_PLACES)
    if rng.random() < rates.shipping:
        country = "XX"
    street = f"{rng.choice(_STREETS)} {rng.randint(1, 200)}"
    return {"name": name, "street": street, "city": city, "postcode": postcode, "country": country}


def parse_rates(text: str) -> FailureRates:
    """Read `payment=5%,shipping=1%,unknown=1%`; what is left out is 0. Raise `ValueError` saying what is wrong."""
    known = [rate.name for rate in fields(FailureRates)]
    shares = {}
    for part in filter(None, text.split(",")):
        name, _, share = part.strip().partition("=")
        if name not in known:
            raise ValueError(f"{part!r}: give {', '.join(f'{one}=N%' for one in known)}")
        shares[name] = _share(share)
    if shares.get("payment", 0) + shares.get("unknown", 0) > 1:
        raise ValueError("payment and unknown together exceed 100%")
    return FailureRates(**shares)


def _share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise ValueError(f"{text!r} is not a share such as 5% or 0.05") from None
    if not 0 <= share <= 1:
        raise ValueError(f"{text} does not lie between 0% and 100%")
    return share
