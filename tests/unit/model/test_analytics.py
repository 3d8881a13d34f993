"""`spec.analytics`: the service that it implies has its place wherever services have one."""

from typing import Any

from orderflow_model.flow import OrderFlow
from orderflow_model.lint.flow import lint
from orderflow_model.service_part import service_config
from orderflow_model.topics import flow_topics

ANALYTICS = {"image": "orderflow/services:dev"}


def with_analytics(document: dict[str, Any], **more: Any) -> OrderFlow:
    """Return the flow with its events kept."""
    return OrderFlow.model_validate(document | {"spec": document["spec"] | {"analytics": ANALYTICS | more}})


def test_the_sink_hears_every_event_and_says_none(document: dict[str, Any]) -> None:
    """The implied service subscribes all that is declared, has dead letters of its own, and publishes nothing."""
    flow = with_analytics(document)
    config = service_config(flow, "raw")
    assert {channel.event for channel in config.subscribes} == {event.name for event in flow.spec.events}
    assert config.publishes == ()
    assert "shop.raw.dead-letters" in {topic.name for topic in flow_topics(flow)}
    assert [service.name for service in flow.services] == [*(one.name for one in flow.spec.services), "raw"]


def test_without_it_nothing_is_implied(shop: OrderFlow) -> None:
    """A flow that keeps no events has the services of its picture."""
    assert shop.services == shop.spec.services


def test_a_finding_about_the_sink_names_what_asks_for_it(document: dict[str, Any]) -> None:
    """Its place in the resource is spec.analytics, not a service that nobody wrote."""
    places = {finding.path for finding in lint(with_analytics(document, scale={"max": 100}))}
    assert "spec.analytics.scale.max" in places


def test_a_service_called_as_the_sink_is_refused(document: dict[str, Any]) -> None:
    """Two services of one name would share group, role and schema; without analytics the name is free."""
    document["spec"]["services"][4]["name"] = "raw"
    words = {finding.path: finding.message for finding in lint(with_analytics(document))}
    assert "spec.analytics calls" in words["spec.services[4].name"]
    assert "spec.services[4].name" not in {finding.path for finding in lint(OrderFlow.model_validate(document))}
