"""`spec.analytics`: the service that it implies has its place wherever services have one."""

from typing import Any

import pytest
from pydantic import ValidationError

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


@pytest.mark.parametrize(
    "schedule", ["*/15 * * * *", "0 3 * * 1-5", "0,30 8-18/2 1 1-12 0", "0 0 29 2 *", "0 0 31 2,3 *", "5 4 30 2 1"]
)
def test_a_schedule_is_what_cron_knows(document: dict[str, Any], schedule: str) -> None:
    """Five fields with lists, ranges and steps; a day of the week comes also where the day of the month does not."""
    flow = with_analytics(document, schedule=schedule, freshness="1h")
    assert flow.spec.analytics is not None
    assert flow.spec.analytics.schedule == schedule
    assert not [finding for finding in lint(flow) if "schedule" in finding.path]


WRONG = ["@hourly", "* * * *", "60 * * * *", "0 24 * * *", "0 0 0 * *", "0 0 * 13 *", "0 0 * * 7", "*/0 * * * *"]


@pytest.mark.parametrize("schedule", [*WRONG, "0 0 * * MON", "0  0 * * *", "1, * * * *"])
def test_what_readers_of_cron_do_not_share_is_no_schedule(document: dict[str, Any], schedule: str) -> None:
    """Words, a seventh day and shorthands are read by some; numbers out of bounds by none."""
    with pytest.raises(ValidationError, match=r"spec\.analytics\.schedule"):
        with_analytics(document, schedule=schedule)


@pytest.mark.parametrize(
    ("schedule", "why"),
    [("0 18-8 * * *", "18-8 goes backwards"), ("0 0 30 2 *", "no day 30 in month 2"), ("0 0 31 4,6 *", "no day 31")],
)
def test_a_schedule_that_never_comes_is_refused(document: dict[str, Any], schedule: str, why: str) -> None:
    """It says where it stands and what is wrong with it."""
    (finding,) = [one for one in lint(with_analytics(document, schedule=schedule)) if "schedule" in one.path]
    assert (finding.path, why in finding.message) == ("spec.analytics.schedule", True)
