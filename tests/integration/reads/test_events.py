"""Records of a topic as they are browsed, on a real Kafka."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from orderflow_cli.exit_codes import ExitCode
from orderflow_cli.servers.kafka import Kafka
from orderflow_console.queries import events
from orderflow_console.queries.events import BrowsedEvent, EventFilter, browse_events
from orderflow_console.queries.kafka import client_options
from support.flow.cli_process import FLOW, invoke

BEGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=6)
Fill = Callable[[int], str]


@pytest.fixture
def fill(kafka: Kafka, flow_name: str) -> Fill:
    """Make a topic of three partitions with so many records, one a second, keys in turn; give its name."""

    def filled(records: int) -> str:
        name = f"{flow_name}.order-created"
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        admin.create_topics([NewTopic(name, 3)])[name].result(30)
        producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 50})
        for number in range(records):
            at = int((BEGIN + timedelta(seconds=number)).timestamp() * 1000)
            data = {"orderId": f"o{number}", "customer": {"id": "c", "email": "ann@example.org"}}
            producer.produce(
                name,
                json.dumps(data),
                f"k{number % 7}",
                partition=number % 3,
                timestamp=at,
                headers=[("ce_id", f"{number}"), ("user", "ann@example.org")],
            )
        assert producer.flush(30) == 0
        return name

    return filled


def all_of(kafka: Kafka, topic: str, where: EventFilter, limit: int) -> list[BrowsedEvent]:
    """All records that fit, page by page."""
    found: list[BrowsedEvent] = []
    after = None
    while True:
        page = browse_events(client_options(kafka.bootstrap, {}), topic, where, after, limit, ())
        found += page.items
        after = page.next
        if after is None:
            return found


@pytest.mark.parametrize("since", [None, BEGIN])
@pytest.mark.parametrize("limit", [4, 1000])
def test_pages_show_each_record_once_in_order(
    kafka: Kafka, fill: Fill, monkeypatch: pytest.MonkeyPatch, since: datetime | None, limit: int
) -> None:
    """From the newest back and from a time on, whatever the size of a page and of what it looks at."""
    monkeypatch.setattr(events, "LOOKED_AT_ONCE", 24)
    topic = fill(60)
    found = all_of(kafka, topic, EventFilter(since=since), limit)
    assert sorted(one.data["orderId"] for one in found) == sorted(f"o{number}" for number in range(60))
    for partition in range(3):
        own = [one.offset for one in found if one.partition == partition]
        assert own == sorted(own, reverse=since is None)
    first = "o59" if since is None else "o0"
    assert found[0].data["orderId"] == first


def test_what_is_asked_for_is_found_and_how_far_was_looked_is_said(
    kafka: Kafka, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By key, text, partition and time; a page that finds nothing says how far it came, and where to go on."""
    topic = fill(90)
    assert {one.key for one in all_of(kafka, topic, EventFilter(key="k3"), 5)} == {"k3"}
    assert len(all_of(kafka, topic, EventFilter(key="k3"), 5)) == 13
    assert [one.data["orderId"] for one in all_of(kafka, topic, EventFilter(contains='"o42"'), 5)] == ["o42"]
    late = all_of(kafka, topic, EventFilter(partition=1, since=BEGIN + timedelta(seconds=80)), 50)
    assert [one.data["orderId"] for one in late] == ["o82", "o85", "o88"]
    monkeypatch.setattr(events, "LOOKED_AT_ONCE", 30)
    page = browse_events(client_options(kafka.bootstrap, {}), topic, EventFilter(contains='"o1"'), personal=())
    assert (page.items, page.records) == ((), 30)
    assert page.bytes > 30 * 50
    assert page.looked_to == BEGIN + timedelta(seconds=60)
    assert page.next is not None
    assert [one.offset for one in all_of(kafka, topic, EventFilter(contains='"o1"'), 5)] == [0]


async def test_events_are_browsed_by_command_and_masked(kafka: Kafka, fill: Fill, tmp_path: Path) -> None:
    """What the resource calls personal is hidden and not found, without it all is; no topic has a code of its own."""
    topic = fill(4)
    data = yaml.safe_load(FLOW.read_text())
    data["metadata"]["name"] = topic.partition(".")[0]
    (file := tmp_path / "flow.yaml").write_text(yaml.safe_dump(data))
    at = ("--bootstrap", kafka.bootstrap, "--flow", topic.partition(".")[0], "-o", "json")

    async def browse(*options: str, code: int = ExitCode.DONE) -> str:
        done = await asyncio.to_thread(invoke, "events", "list", *options, *at)
        assert done.returncode == code, done.stderr
        return done.stdout

    known = json.loads(await browse("ORDER_CREATED", "--file", str(file)))["items"]
    assert [one["data"]["orderId"] for one in known] == ["o3", "o2", "o1", "o0"]
    assert known[0]["data"]["customer"] == {"id": "c", "email": "•••"}
    assert known[0]["headers"] == {"ce_id": "3", "user": "•••"}
    assert "o3" not in json.dumps(json.loads(await browse(topic))["items"][0]["data"])
    assert "ann@example.org" in await browse(topic, "--unmask")
    assert len(json.loads(await browse(topic, "--contains", "ann@", "--unmask"))["items"]) == 4
    await browse(topic, "--contains", "ann@", code=ExitCode.REFUSED)
    await browse("NO_SUCH_EVENT", code=ExitCode.UNKNOWN)


def test_an_expression_finds_by_what_is_shown(kafka: Kafka, fill: Fill) -> None:
    """Fields and metadata, page by page; of what is masked or lacks a field nothing is found, and that is said."""
    topic, options = fill(60), client_options(kafka.bootstrap, {})
    late = EventFilter(expression=f"data.orderId.endsWith('7') && time > timestamp('{BEGIN.isoformat()}') && id != '7'")
    assert [one.data["orderId"] for one in all_of(kafka, topic, late, 2)] == ["o57", "o47", "o37", "o27", "o17"]
    address = EventFilter(expression="data.customer.email.startsWith('ann')")
    assert len(browse_events(options, topic, address, personal=()).items) == 50
    masked = browse_events(options, topic, address, personal=("/customer/email",))
    assert (masked.items, masked.records, masked.next) == ((), 60, None)
    page = browse_events(options, topic, EventFilter(key="k3", expression="data.none == 1"), personal=())
    assert (page.items, page.unjudged, page.why) == ((), 9, "there is no none")


def test_a_page_of_many_records_is_quick(kafka: Kafka, fill: Fill) -> None:
    """Ten thousand records are looked through in seconds."""
    topic = fill(10_000)
    begun = time.perf_counter()
    page = browse_events(client_options(kafka.bootstrap, {}), topic, EventFilter(contains="nowhere"), personal=())
    assert page.records == 9_999, "3,333 of each partition"
    assert time.perf_counter() - begun < 5
    begun = time.perf_counter()
    nobody = EventFilter(expression="data.orderId == 'nobody'")
    assert browse_events(client_options(kafka.bootstrap, {}), topic, nobody, personal=()).records == 9_999
    assert time.perf_counter() - begun < 10
