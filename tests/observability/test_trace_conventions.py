"""Names of spans and attributes, against the registry that OpenTelemetry publishes as a package."""

import importlib
import pkgutil

import pytest
from opentelemetry.semconv import _incubating, attributes
from opentelemetry.semconv._incubating.attributes import messaging_attributes as messaging

from support.flow.orders import Shop
from support.records.otlp import Received, Seen
from support.records.traces import BATCH, order_trace

OURS = "orderflow."
MESSAGE = {
    messaging.MESSAGING_SYSTEM: "kafka",
    messaging.MESSAGING_OPERATION_NAME: None,
    messaging.MESSAGING_OPERATION_TYPE: None,
    messaging.MESSAGING_DESTINATION_NAME: None,
    messaging.MESSAGING_DESTINATION_TEMPLATE: None,
    messaging.MESSAGING_KAFKA_MESSAGE_KEY: None,
    messaging.MESSAGING_MESSAGE_ID: None,
}
CONSUMED = {
    messaging.MESSAGING_CONSUMER_GROUP_NAME,
    messaging.MESSAGING_DESTINATION_PARTITION_ID,
    messaging.MESSAGING_KAFKA_OFFSET,
}


def registry() -> set[str]:
    """Every attribute's name in the registry, but those it calls deprecated."""
    names = set()
    for package in (attributes, _incubating.attributes):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            found = vars(importlib.import_module(module.name))
            names |= {value for name, value in found.items() if name.isupper() and isinstance(value, str)}
    return names - {messaging.MESSAGING_KAFKA_MESSAGE_OFFSET, messaging.MESSAGING_KAFKA_CONSUMER_GROUP}


@pytest.fixture
async def spans(shop: Shop, received: Received) -> list[Seen]:
    """All spans of some orders, with those of their batches."""
    for wishes in ({}, {"country": "XX"}, {"card": "tok_lost"}):
        placed = await shop.place(**wishes)
        await shop.until(placed)
        await order_trace(received, placed)
    return received.spans()


async def test_every_attribute_is_in_the_registry_or_bears_our_name(spans: list[Seen]) -> None:
    """Nothing is invented where the conventions have a word."""
    known, seen = registry(), {name for span in spans for name in span.attributes}
    assert {name for name in seen if not name.startswith(OURS)} <= known
    assert {name for name in seen if name.startswith(OURS)} & known == set()


async def test_messages_have_the_attributes_that_the_conventions_ask_for(spans: list[Seen]) -> None:
    """Sending and processing say system, operation, destination, key and id; processing also group and place."""
    kinds = {value.value for value in messaging.MessagingOperationTypeValues}
    of_messages = [span for span in spans if span.kind in ("PRODUCER", "CONSUMER") and span.name != BATCH]
    for span in of_messages:
        unreadable = span.attributes.get("error.type") == "UndecodableError"  # another test's: it told nobody its id
        assert set(MESSAGE) - set(span.attributes) <= ({messaging.MESSAGING_MESSAGE_ID} if unreadable else set())
        operation = span.attributes[messaging.MESSAGING_OPERATION_NAME]
        assert span.name == f"{operation} {span.attributes[messaging.MESSAGING_DESTINATION_TEMPLATE]}"
        assert span.attributes[messaging.MESSAGING_OPERATION_TYPE] in kinds
        assert span.attributes[messaging.MESSAGING_SYSTEM] == messaging.MessagingSystemValues.KAFKA.value
        assert (operation == "process") == (set(span.attributes) >= CONSUMED) == (span.kind == "CONSUMER")
    assert {span.kind for span in of_messages} == {"PRODUCER", "CONSUMER"}


async def test_batches_count_their_messages_and_link_to_them(spans: list[Seen]) -> None:
    """A batch's span says how many it held, and links to the sending of each recorded one."""
    sent = {span.id for span in spans if span.kind == "PRODUCER"}
    batches = [span for span in spans if span.name == BATCH]
    assert batches
    assert all(span.attributes[messaging.MESSAGING_BATCH_MESSAGE_COUNT] >= len(span.links) > 0 for span in batches)
    assert sent & {link[1] for span in batches for link in span.links}


async def test_the_kinds_of_spans_are_those_of_their_roles(spans: list[Seen]) -> None:
    """SERVER for requests, CLIENT for calls, INTERNAL for what no message brought."""
    kinds = {span.name.split(" ")[0]: set() for span in spans}
    for span in spans:
        kinds[span.name.split(" ")[0]].add(span.kind)
    assert kinds["POST"] == {"SERVER"}
    assert kinds["perform"] == kinds["lookup"] == {"CLIENT"}
    assert kinds["send"] == {"PRODUCER"}
    assert kinds["process"] == {"CONSUMER", "INTERNAL"}
    assert all(span.ended >= span.began for span in spans)
