"""A flow grown to sizes that a console has to bear, and the time and memory that its pages then take."""

import datetime as dt
import http.client
import re
import statistics
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import asyncpg
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from orderflow_contracts.dead_letters import LETTER_ID, TOPIC
from orderflow_contracts.envelope import Envelope
from orderflow_model.names import dead_letter_topic_name, topic_name
from orderflow_runtime.event_ids import new_event_id
from support.console.stand import Stand
from support.records.stored_orders import order_id, park, set_state, store_orders

SERVICE, EVENT, EVENT_TOPIC = "notification", "SHIPMENT_CREATED", "shop.shipment-created"
LONG = "long-history"
_ROUNDS = 5
_TOPICS_AT_ONCE = 250
_LETTERS_AT_ONCE = 10_000
_LETTERS = f"""
INSERT INTO {SERVICE}.dead_letters (id, topic, partition, key, type, event_id, attempts, reason, died_at)
SELECT id, '{EVENT_TOPIC}', 0, key, '{EVENT}', event_id, 6, 'the mail server is away', now() - n * interval '1 ms'
FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY AS given (id, key, event_id, n)
"""  # noqa: S608 - fixed names
_STEPS = """
INSERT INTO payment.journal (key, at, what, type, attempt)
SELECT $1, now() - n * interval '1 s', 'FAILED', 'STOCK_RESERVED', n FROM generate_series(1, $2::int) AS n
"""


@dataclass(frozen=True)
class Sizes:
    """How much there is of everything."""

    orders: int
    steps: int
    letters: int
    topics: int
    partitions: int

    def part(self, of: int) -> "Sizes":
        """Return the same, so many times smaller; a history stays as long as it is."""
        return Sizes(self.orders // of, self.steps, self.letters // of, self.topics // of, self.partitions // of)


WHOLE = Sizes(orders=1_000_000, steps=5_000, letters=100_000, topics=9_000, partitions=39_000)


@dataclass(frozen=True)
class View:
    """What a page took: its first answer, and the median of some."""

    first_ms: float
    median_ms: float


async def grow(stand: Stand, sizes: Sizes) -> None:
    """Fill a flow that runs: what its tables and topics would hold after a long time."""
    make_topics(stand, sizes)
    admin = await asyncpg.connect(stand.flow.database_of_all().render())
    try:
        await store_orders(admin, sizes.orders)
        for number in range(sizes.orders - min(200, sizes.orders // 2), sizes.orders):
            await set_state(admin, order_id(number), "PAID", deadline=True)
        await park(admin, order_id(7), "the provider is away")
        await admin.execute("UPDATE payment.parked SET due_at = now() + interval '1 day'")  # it is no event
        await admin.execute(_STEPS, LONG, sizes.steps)
        await bury_letters(stand.flow.bootstrap(), stand.flow.name, admin, sizes.letters)
        await admin.execute(f"VACUUM ANALYZE {SERVICE}.dead_letters")
    finally:
        await admin.close()


def make_topics(stand: Stand, sizes: Sizes) -> None:
    """Give Kafka topics of the flow's name until it has so many partitions in all."""
    admin = AdminClient({"bootstrap.servers": stand.flow.bootstrap()})
    few, more = divmod(sizes.partitions, sizes.topics)
    topics = [NewTopic(f"shop.size-{n:05}", few + (n < more), 1) for n in range(sizes.topics)]
    for start in range(0, len(topics), _TOPICS_AT_ONCE):
        some = topics[start : start + _TOPICS_AT_ONCE]
        for made in admin.create_topics(some, request_timeout=120, operation_timeout=120).values():
            made.result()


async def bury_letters(bootstrap: str, flow: str, admin: asyncpg.Connection, count: int) -> None:
    """Leave a service letters that it will handle once they are put back: rows and records, as it writes them."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20})
    topic, origin = dead_letter_topic_name(flow, SERVICE), topic_name(flow, EVENT)
    for start in range(0, count, _LETTERS_AT_ONCE):
        keys = [f"letter-{number:06}" for number in range(start, min(start + _LETTERS_AT_ONCE, count))]
        rows = [(uuid.uuid4(), key, new_event_id(key)) for key in keys]
        for letter, key, event in rows:
            producer.produce(topic, _data(key), key.encode(), headers=_headers(letter, event, origin))
        assert producer.flush(60) == 0
        await admin.execute(_LETTERS, *map(list, zip(*rows, strict=True)))


def _headers(letter: uuid.UUID, event: str, topic: str) -> list[tuple[str, bytes | None]]:
    envelope = Envelope(event, "/shop/shipping", EVENT, dt.datetime.now(dt.UTC))
    return [*envelope.headers(), (LETTER_ID, str(letter).encode()), (TOPIC, topic.encode())]


def _data(key: str) -> bytes:
    return f'{{"orderId":"{key}","tracking":"t-{key}"}}'.encode()


def pages(letter: str) -> tuple[str, ...]:
    """Return the address of each page, and of those whose filter finds little in much."""
    return (
        "/",
        "/orders",
        "/orders?state=CANCELLED",
        "/orders?customer=c7",
        "/orders?phase=Open",
        "/orders?reason=NOBODY",
        "/orders?retrying=yes",
        f"/orders/{LONG}",
        f"/orders/{order_id(7)}",
        "/dead-letters",
        f"/dead-letters?service={SERVICE}&reason=mail",
        f"/dead-letters/{SERVICE}/{letter}",
        "/jobs",
        "/events",
        f"/events/{EVENT_TOPIC}",
        f"/events/{dead_letter_topic_name('shop', SERVICE)}",
        "/topics",
        "/topics?name=size-00007",
        "/topics/shop.size-00007",
        "/catalogue",
        "/try-it",
        f"/services/{SERVICE}",
    )


class Visitor:
    """A browser without a window: it asks one console for pages and sends its forms."""

    def __init__(self, url: str) -> None:
        self._place = urlsplit(url)

    def get(self, path: str) -> str:
        """Return a page; fail when it is an error's."""
        status, body, _ = self._ask("GET", path)
        assert status == 200, f"{path} answers {status}: {body[:500]}"
        return body

    def post(self, path: str, **fields: str) -> str:
        """Send a form with the token of the console that runs now; return where it leads."""
        token = re.search(r'name="token" value="([^"]+)"', self.get("/try-it"))
        assert token
        status, body, onward = self._ask("POST", path, urlencode({"token": token[1], **fields}))
        assert status == 303, f"{path} answers {status}: {body[:500]}"
        return onward

    def view(self, path: str) -> View:
        """Measure a page."""
        times = []
        for _ in range(_ROUNDS):
            begun = time.perf_counter()
            self.get(path)
            times.append((time.perf_counter() - begun) * 1000)
        return View(round(times[0], 1), round(statistics.median(times), 1))

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int, str, str]:
        connection = http.client.HTTPConnection(self._place.hostname or "", self._place.port, timeout=60)
        headers = {} if body is None else {"origin": f"http://{self._place.netloc}"}
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.getheader("location", "")
        finally:
            connection.close()


def most_memory_mb(pid: int) -> float:
    """Return the most memory that a process has had at once."""
    found = re.search(r"VmHWM:\s+([0-9]+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    assert found
    return round(int(found[1]) / 1024, 1)
