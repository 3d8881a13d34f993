"""`spec.sources`: each implies a program with a place among the flow's services, and is refused by its own place."""

from typing import Any

import pytest

from orderflow_model.findings import InvalidResourceError
from orderflow_model.flow import OrderFlow
from orderflow_model.lint.flow import lint
from orderflow_model.lint.secrets import foreign_secrets
from orderflow_model.loading.load import parse_flow
from orderflow_model.placement import processes
from orderflow_model.spec.placement import Placement, PlacementMode
from orderflow_model.topics import flow_topics
from support.flow.queue_bench import SOURCE

QUEUE: dict[str, Any] = SOURCE["queue"]
AUTHORITY = {"certificateAuthority": {"secretKeyRef": {"name": "erp", "key": "ca.crt"}}}


def with_source(document: dict[str, Any], **more: Any) -> OrderFlow:
    """Return the flow with a source."""
    return parse_flow(document | {"spec": document["spec"] | {"sources": [SOURCE | more]}})


def test_a_source_is_told_all_it_needs_and_is_no_part_of_the_events(document: dict[str, Any]) -> None:
    """Its queue, its taker's address, its Secrets by variables of its own; it has no topic and shares no process."""
    flow = with_source(document, queue=QUEUE | {"tls": AUTHORITY})
    service = flow.service("erp")
    values = {one.name: one.value for one in service.env}
    assert (values["SOURCE_QUEUE"], values["SOURCE_REFUSED"]) == ("orders", "orders.refused")
    assert values["SOURCE_NAME"] == "erp"
    assert values["SOURCE_INTO"] == "http://shop-order/orders"
    assert {values["SOURCE_URI_VARIABLE"], values["SOURCE_CA_VARIABLE"]} == {"ERP_QUEUE_URI", "ERP_QUEUE_CA"}
    assert not service.uses_kafka
    assert not [topic for topic in flow_topics(flow) if "erp" in topic.name]
    together = processes(flow, Placement(mode=PlacementMode.TOGETHER))
    assert [process.name for process in together if not process.is_shared] == ["erp"]


@pytest.mark.parametrize(
    ("more", "place", "words"),
    [
        ({"name": "order"}, "spec.sources[0].name", "is a service"),
        ({"into": {"service": "ordr", "path": "/orders"}}, "spec.sources[0].into.service", "order"),
        ({"queue": QUEUE | {"refused": "orders"}}, "spec.sources[0].queue", "another queue"),
        ({"queue": QUEUE | {"name": "x" * 250}}, "spec.sources[0].queue", "no room"),
        ({"queue": QUEUE | {"name": "$(HOME)"}}, "spec.sources[0].queue.name", "$("),
        ({"queue": QUEUE | {"prefetch": 0}}, "spec.sources[0].queue.prefetch", "1"),
        ({"into": {"service": "order", "path": "orders"}}, "spec.sources[0].into.path", "does not match"),
        (
            {"queue": QUEUE | {"uri": {"secretKeyRef": {"name": "shop-db", "key": "uri"}}}},
            "spec.sources[0].queue.uri.secretKeyRef",
            "admin secret",
        ),
        (
            {"queue": QUEUE | {"uri": {"secretKeyRef": {"name": "shop-order.database", "key": "url"}}}},
            "spec.sources[0].queue.uri.secretKeyRef",
            "order proves itself",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(
    document: dict[str, Any], more: dict[str, Any], place: str, words: str
) -> None:
    """The finding names where in spec.sources it is wrong, never a service that nobody wrote."""
    try:
        findings = lint(with_source(document, **more))
    except InvalidResourceError as refused:
        findings = refused.findings
    assert [words in finding.message for finding in findings if finding.path == place] == [True], findings


def test_a_source_is_not_called_as_the_schema_of_peoples_keys(document: dict[str, Any]) -> None:
    """Its role would own, and the schema's deletion take, what opens all personal values."""
    document["spec"]["privacy"] = {"secret": {"secretKeyRef": {"name": "wrap", "key": "key"}}, "readers": ["order"]}
    findings = lint(with_source(document, name="privacy"))
    assert [finding.path for finding in findings] == ["spec.sources[0].name"]


def test_a_source_shares_no_process_with_services(document: dict[str, Any]) -> None:
    """Its module has no build that another's process could run; by itself it may be a group."""
    document["spec"]["placement"] = {"groups": [{"name": "all", "services": ["order", "erp"]}]}
    findings = lint(with_source(document))
    assert [finding.path for finding in findings] == ["spec.placement.groups[0].services"]
    document["spec"]["placement"] = {"groups": [{"name": "all", "services": ["erp"]}]}
    assert lint(with_source(document)) == ()


def test_the_secrets_of_a_source_are_looked_at_before_a_pod_gets_them(document: dict[str, Any]) -> None:
    """They are among those that their owner has to mark as for flows."""
    flow = with_source(document, queue=QUEUE | {"tls": AUTHORITY})
    named = {one.place for one in foreign_secrets(flow)}
    assert {
        "spec.sources[0].queue.uri.secretKeyRef",
        "spec.sources[0].queue.tls.certificateAuthority.secretKeyRef",
    } <= named
