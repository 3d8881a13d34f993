"""What the sink stored comes into the raw zone as it is, whatever is in it."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from orderflow_analytics.lake.zones import RAW
from support.analytics.stored import NOON, Site, Stored, as_stored, ran

TEXTS = ["", " ", "\n\r\t", "ü€😀", "a,b\"c'\\x00", "\x01", "NULL", "x" * 300]
TIMES = [
    datetime.max.replace(tzinfo=UTC),
    datetime.min.replace(tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2000, 1, 1, tzinfo=UTC),
    NOON + timedelta(microseconds=1),
]
DATA = [b"", b"\0", b"\0\0x\0", bytes(range(256)), b"\xff\xfe{}", b'{"orderId":"o1"}']
VERSIONS = [0, 1, -1, 2**31 - 1, -(2**31)]


def odd(random: Random) -> Stored:
    """Return an event of values that are easily read wrongly."""
    texts = random.choices(TEXTS, k=3)
    kind = random.choice(["A", "ORDER_CANCELLED", "with space"])
    return Stored(kind, *texts[:2], random.choice(VERSIONS), texts[2], random.choice(TIMES), random.choice(DATA))


@pytest.mark.parametrize("seed", range(3))
async def test_the_raw_zone_has_what_a_client_of_postgres_reads(site: Site, seed: int) -> None:
    """Value by value, of empty ones too, of bytes that are no text, and of times that have no end."""
    random = Random(seed)
    await site.put(*([odd(random) for _ in range(random.randrange(1, 200))] for _ in range(5)), [odd(random)])
    await ran(site)
    told = as_stored(await site.fetch("SELECT * FROM raw.events")).select(RAW.names).to_pylist()
    assert sorted(site.rows("raw"), key=repr) == sorted(told, key=repr)
    assert len(told) > 1
