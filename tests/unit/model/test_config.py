"""Names, topics and the configuration of a service, derived from the reference flow."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderflow_model import names
from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import parse_flow
from orderflow_model.service_config import Channel, ServiceConfig
from orderflow_model.service_part import service_config
from orderflow_model.topics import DAY_MS, event_topic, flow_topics

FLOW = st.from_regex(r"[a-z]([-a-z0-9]{0,28}[a-z0-9])?", fullmatch=True)
SERVICE = st.from_regex(r"[a-z]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
EVENT = st.from_regex(r"[A-Z][A-Z0-9]{0,9}(_[A-Z0-9]{1,9}){0,8}", fullmatch=True)


def test_a_service_is_told_its_events_and_topics(shop: OrderFlow) -> None:
    """Each event of the matrix comes with its topic, and the group with its dead letters."""
    config = service_config(shop, "shipping")
    assert config.group == "shop.shipping"
    assert config.dead_letter_topic == "shop.shipping.dead-letters"
    assert config.subscribes[0] == Channel(event="INVENTORY_UPDATED", topic="shop.inventory-updated")
    assert [channel.event for channel in config.publishes] == ["SHIPMENT_CREATED", "SHIPMENT_FAILED"]


@pytest.mark.parametrize("service", ["order", "inventory", "payment", "shipping", "notification"])
def test_a_configuration_read_from_its_json_is_the_same(shop: OrderFlow, service: str) -> None:
    """What the operator gives the service's pods is what the runtime reads."""
    config = service_config(shop, service)
    assert ServiceConfig.model_validate_json(config.model_dump_json()) == config


def test_a_service_overrides_only_what_it_says(edited: Any) -> None:
    """Delivery of a service is its own word, and the flow's where it is silent."""
    config = service_config(parse_flow(edited({"spec.services[1].delivery": {"retries": 9}})), "inventory")
    assert (config.delivery.retries, config.delivery.delay_ms, config.delivery.timeout_ms) == (9, 1000, 30_000)


def test_a_service_is_told_which_events_may_wait(shop: OrderFlow) -> None:
    """An event with a pace comes with its time, and all others are handled as they come."""
    within = {channel.event: channel.within_ms for channel in service_config(shop, "order").subscribes}
    assert {event for event, waits in within.items() if waits == 250} == {"STOCK_RESERVED", "PAYMENT_PROCESSED"}
    assert within["SHIPMENT_CREATED"] is None


def test_a_flow_without_saga_gives_a_service_none(edited: Any) -> None:
    """Where nothing begins and ends, the runtime keeps no deadline."""
    assert service_config(parse_flow(edited({"spec.saga": None})), "order").saga is None


def test_a_saga_is_told_only_to_a_service_that_begins_or_ends_it(shop: OrderFlow) -> None:
    """A new deadline restarts no other service: it would not find anything changed."""
    told = {service.name for service in shop.spec.services if service_config(shop, service.name).saga}
    assert told == {"order"}


def test_a_service_is_told_how_it_is_traced(edited: Any) -> None:
    """A percentage becomes a share; without a collector none is named."""
    assert service_config(parse_flow(edited({})), "order").tracing.endpoint is None
    tracing = {"consumer": "Link", "sampling": "12.5", "endpoint": "https://[fd00::1]:4318/in", "protocol": "Http"}
    told = service_config(parse_flow(edited({"spec.tracing": tracing})), "order").tracing
    assert (told.consumer, told.share, told.endpoint, told.protocol) == ("Link", 0.125, tracing["endpoint"], "Http")


@pytest.mark.parametrize(("retention", "days"), [("168h", 21), ("25h", 16), ("480h", 40)])
def test_the_inbox_remembers_as_long_as_an_event_can_come_back(edited: Any, retention: str, days: int) -> None:
    """The topic's retention and that of the dead letters are added, a begun day counting whole."""
    flow = parse_flow(edited({"spec.defaults.topic.retention": retention}))
    assert service_config(flow, "payment").inbox_days == days


def test_an_absent_service_is_a_key_error(shop: OrderFlow) -> None:
    """Asking for a service the flow does not have raises KeyError with its name."""
    with pytest.raises(KeyError, match="loyalty"):
        service_config(shop, "loyalty")


def test_every_event_and_every_subscriber_has_its_topic(shop: OrderFlow) -> None:
    """The topics of a flow are its events' and one of dead letters for each service that can fail."""
    topics = {topic.name: topic for topic in flow_topics(shop)}
    assert len(topics) == 12 + 5
    assert topics["shop.order-created"].partitions == 12
    assert topics["shop.order-cancelled"].partitions == 6
    letters = topics["shop.payment.dead-letters"]
    assert letters.retention_ms >= 14 * DAY_MS
    assert letters.config["max.message.bytes"] == "4194304"


def test_an_event_overrides_its_topic(edited: Any) -> None:
    """Name, replicas, retention and settings of an event's topic win over the defaults."""
    topic = {
        "name": "orders",
        "replicas": 1,
        "retention": "1h",
        "config": {"min.insync.replicas": "1", "x": "1"},
    }
    flow = parse_flow(edited({"spec.events[0].topic": topic, "spec.defaults.topic.config": {"x": "0"}}))
    made = event_topic(flow, flow.spec.event("ORDER_CREATED"))
    assert (made.name, made.partitions, made.replicas) == ("orders", 6, 1)
    fixed = {"cleanup.policy": "delete", "retention.bytes": "-1"}
    assert made.config == {"retention.ms": "3600000", "min.insync.replicas": "1", "x": "1"} | fixed


def test_names_in_postgres_need_no_quotes() -> None:
    """The schema and the role of a service are names Postgres takes without quotes."""
    assert names.schema_name("loyalty-points") == "loyalty_points"
    assert names.role_name("my-shop", "loyalty-points") == "my_shop_loyalty_points"


@given(FLOW, SERVICE)
def test_every_derived_name_fits(flow: str, service: str) -> None:
    """Objects leave ten characters of 63 for a prefix or suffix, roles fit 63, topics fit 249."""
    assert len(names.object_name(flow, service)) <= 53
    assert len(names.role_name(flow, service)) <= 63
    assert len(names.dead_letter_topic_name(flow, service)) <= 249


@given(FLOW, st.sets(EVENT, min_size=2, max_size=2), SERVICE)
def test_derived_topics_never_meet(flow: str, events: set[str], service: str) -> None:
    """Two events have two topics, and neither is a service's dead letters, even as Kafka compares names."""
    topics = {names.topic_name(flow, event).replace("_", ".") for event in events}
    assert len(topics | {names.dead_letter_topic_name(flow, service)}) == 3


def test_a_topic_of_one_replica_can_still_be_written(edited: Any) -> None:
    """The copies a write waits for never exceed the copies there are."""
    flow = parse_flow(edited({"spec.defaults.topic.replicas": 1}))
    assert {topic.config["min.insync.replicas"] for topic in flow_topics(flow)} == {"1"}
