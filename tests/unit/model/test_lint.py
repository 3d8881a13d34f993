"""Lint of the graph: each rule on the reference flow with one thing changed."""

from typing import Any

import pytest

from orderflow_model.findings import Finding, Severity
from orderflow_model.lint.flow import lint
from orderflow_model.loading.load import parse_flow


def findings(document: dict[str, Any]) -> dict[str, Finding]:
    """Return the findings of a flow in plain data by their path."""
    return {finding.path: finding for finding in lint(parse_flow(document))}


ERRORS = [
    (
        "spec.services[2].subscribes",
        ["STOCK_RESERVED", "ORDER_CANCELED"],
        "spec.services[2].subscribes[1]",
        "did you mean ORDER_CANCELLED?",
    ),
    (
        "spec.services[2].subscribes",
        ["STOCK_RESERVED", "WEATHER"],
        "spec.services[2].subscribes[1]",
        "nobody publishes WEATHER",
    ),
    (
        "spec.services[3].publishes",
        ["SHIPMENT_CREATED", "SHIPMENT_FALED"],
        "spec.services[3].publishes[1]",
        "not declared in spec.events; did you mean SHIPMENT_FAILED?",
    ),
    ("spec.events[1].topic", {"name": "shop.order-created"}, "spec.events[1].topic.name", "taken by ORDER_CREATED"),
    ("spec.events[1].topic", {"name": "shop_order-created"}, "spec.events[1].topic.name", "taken by ORDER_CREATED"),
    (
        "spec.events[1].topic",
        {"name": "shop.order.dead-letters"},
        "spec.events[1].topic.name",
        "the dead letters of order",
    ),
    (
        "spec.services[0].pace",
        [{"event": "STOCK_RESERVD", "within": "1s"}],
        "spec.services[0].pace[0].event",
        "order does not subscribe STOCK_RESERVD; did you mean STOCK_RESERVED?",
    ),
    ("spec.services[1].delivery", {"delay": "10m"}, "spec.services[1].delivery", "delay 10m, maxDelay 5m"),
    (
        "spec.services[1].env",
        [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "shop-db", "key": "uri"}}}],
        "spec.services[1].env[0].valueFrom.secretKeyRef",
        "the migration job's alone",
    ),
    *(
        (
            "spec.services[1].env",
            [{"name": "A", "valueFrom": {"secretKeyRef": {"name": name, "key": "password"}}}],
            "spec.services[1].env[0].valueFrom.secretKeyRef",
            words,
        )
        for name, words in {
            "shop-payment": "what payment proves itself with; inventory has Secrets of its own",
            "shop-payment.database": "what payment proves itself with; inventory has Secrets of its own",
            "shop.autoscaler": "the platform's",
            "other-flow-service.database": "the platform's",
            "other-flow-service.kafka": "the platform's",
            "other.autoscaler.kafka": "the platform's",
        }.items()
    ),
    ("spec.saga.begins", "ORDER_CREATD", "spec.saga.begins", "did you mean ORDER_CREATED?"),
    ("spec.saga.ends", ["ORDER_COMPLETED", "ORDER_LOST"], "spec.saga.ends[1]", "nobody publishes ORDER_LOST"),
    (
        "spec.saga.compensations[0].undo",
        "STOCK_RESERVD",
        "spec.saga.compensations[0].undo",
        "did you mean STOCK_RESERVED?",
    ),
    ("spec.saga.compensations[0].by", "STOCK_RESTORD", "spec.saga.compensations[0].by", "did you mean STOCK_RESTORED?"),
    ("spec.saga", None, "spec.objectives[0]", "needs spec.saga"),
]


@pytest.mark.parametrize(("path", "value", "place", "words"), ERRORS)
def test_a_wrong_picture_is_an_error_at_its_place(edited: Any, path: str, value: Any, place: str, words: str) -> None:
    """Each contradiction in the graph is an error where it stands, with what to do next."""
    found = findings(edited({path: value}))
    assert found[place].severity is Severity.ERROR
    assert words in found[place].message


@pytest.mark.parametrize(
    "name", ["shop-inventory", "shop-inventory.database", "stripe", "prod.database", "shop-payment-provider", "a-b.env"]
)
def test_a_services_own_secrets_and_those_of_people_may_be_named(edited: Any, name: str) -> None:
    """Only what the platform makes for somebody else is withheld."""
    variable = {"name": "A", "valueFrom": {"secretKeyRef": {"name": name, "key": "password"}}}
    assert not [path for path in findings(edited({"spec.services[1].env": [variable]})) if ".env" in path]


def test_the_operators_password_at_kafka_is_its_own(edited: Any) -> None:
    """With it a service could read and write whatever it likes."""
    secret = {"name": "kafka-admin", "key": "password"}
    scram = {"type": "ScramSha512", "username": "admin", "secretKeyRef": secret}
    kafka = {"provisioner": "Admin", "bootstrapServers": ["a:9092"], "authentication": scram}
    variable = {"name": "A", "valueFrom": {"secretKeyRef": secret}}
    found = findings(edited({"spec.kafka": kafka, "spec.services[1].env": [variable]}))
    assert "rules over Kafka" in found["spec.services[1].env[0].valueFrom.secretKeyRef"].message


def test_a_service_without_a_user_has_no_secret_of_one(edited: Any) -> None:
    """Where Kafka asks nobody who they are, a Secret so called is a person's, and withheld like any such name."""
    kafka = {"provisioner": "Admin", "bootstrapServers": ["a:9092"]}
    variable = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "shop-inventory.kafka", "key": "password"}}}
    found = findings(edited({"spec.kafka": kafka, "spec.services[1].env": [variable]}))
    assert "the platform's" in found["spec.services[1].env[0].valueFrom.secretKeyRef"].message


WARNINGS = [
    ("spec.services[4].scale.max", 13, "spec.services[4].scale.max", "more than 12 partitions"),
    ("spec.services[3].scale.max", 7, "spec.services[3].scale.max", "more than 6 partitions"),
    ("spec.services[0].subscribes", ["STOCK_RESERVED"], "spec.events[11].name", "nobody subscribes SHIPMENT_FAILED"),
    ("spec.objectives[0].within", "16m", "spec.objectives[0].within", "deadline of 15m"),
    (
        "spec.saga.compensations",
        [{"undo": "STOCK_RESERVED", "by": "STOCK_RESTORED"}],
        "spec.services[2].publishes",
        "payment goes before inventory",
    ),
    (
        "spec.saga.compensations",
        [{"undo": "PAYMENT_PROCESSED", "by": "PAYMENT_REFUNDED"}],
        "spec.services[1].publishes",
        "inventory goes before payment, shipping",
    ),
]


@pytest.mark.parametrize(("path", "value", "place", "words"), WARNINGS)
def test_an_odd_picture_is_a_warning_at_its_place(edited: Any, path: str, value: Any, place: str, words: str) -> None:
    """Each thing that is legal but odd is a warning where it stands."""
    found = findings(edited({path: value}))
    assert found[place].severity is Severity.WARNING
    assert words in found[place].message


def test_an_end_that_no_chain_of_services_leads_to_is_an_error(edited: Any) -> None:
    """When inventory no longer hears the beginning, no end of the saga can be reached."""
    found = findings(edited({"spec.services[1].subscribes": ["PAYMENT_FAILED"]}))
    assert "cannot be reached" in found["spec.saga.ends[0]"].message
    assert found["spec.saga.ends[0]"].severity is Severity.ERROR


def test_a_compensation_that_never_happens_is_a_warning(edited: Any) -> None:
    """When payment hears nothing that follows from the beginning, its compensation is idle."""
    found = findings(edited({"spec.services[2].subscribes": ["PAYMENT_REFUNDED"]}))
    assert "never happens in a run" in found["spec.saga.compensations[1].undo"].message
    assert found["spec.saga.compensations[1].by"].severity is Severity.WARNING


def test_an_event_that_is_declared_and_forgotten_says_so(edited: Any) -> None:
    """An event nobody publishes and nobody subscribes is a warning that says both."""
    found = findings(edited({"spec.events[11].name": "PARCEL_LOST"}))
    assert found["spec.events[11].name"].message == "nobody subscribes or publishes PARCEL_LOST"


def test_what_only_the_lake_hears_is_heard(edited: Any) -> None:
    """An event that the flow keeps for questions needs no other subscriber, but still somebody who publishes it."""
    kept = {"spec.analytics": {"image": "shop:1"}, "spec.services[0].subscribes": ["STOCK_RESERVED"]}
    assert not [place for place in findings(edited(kept)) if place.startswith("spec.events")]
    found = findings(edited({**kept, "spec.events[11].name": "PARCEL_LOST"}))
    assert found["spec.events[11].name"].message == "nobody publishes PARCEL_LOST"


def test_the_ends_of_a_saga_need_no_subscriber(edited: Any) -> None:
    """The runtime itself waits for an end, so an end that no service hears is no finding."""
    heard = ["ORDER_CREATED", "PAYMENT_FAILED", "SHIPMENT_CREATED", "ORDER_CANCELLED"]
    assert findings(edited({"spec.services[4].subscribes": heard, "spec.services[4].pace": None})) == {}


def test_a_flow_without_saga_and_objectives_is_legal(edited: Any) -> None:
    """A plain pipeline that begins and ends nothing is linted without them."""
    assert findings(edited({"spec.saga": None, "spec.objectives": None})) == {}


def test_a_service_that_only_publishes_may_have_any_scale(edited: Any) -> None:
    """A service without subscriptions consumes nothing, so no partition bounds it."""
    found = findings(edited({"spec.services[0].subscribes": [], "spec.services[0].scale.max": 100}))
    assert "spec.services[0].scale.max" not in found


def test_errors_come_before_warnings(edited: Any) -> None:
    """Whoever reads only the first finding reads what must be changed."""
    document = edited({"spec.services[3].scale.max": 7, "spec.services[0].subscribes": ["WEATHER"]})
    severities = [finding.severity for finding in lint(parse_flow(document))]
    assert severities == sorted(severities)
    assert set(severities) == set(Severity)


@pytest.mark.timeout(60)
def test_thousands_of_unknown_names_do_not_hold_lint_up(document: dict[str, Any]) -> None:
    """A resource at every bound, each name unknown and alike, is linted in seconds."""
    names = [f"{'ABCDE' * 15}_{number:05d}_{'EDCBA' * 3}" for number in range(20_000)]
    document["spec"]["events"] = [{"name": name} for name in names[:200]]
    document["spec"]["services"] = [
        {
            "name": f"s{index}",
            "image": "x",
            "publishes": names[400 * index : 400 * index + 200],
            "subscribes": [f"{name}X" for name in names[400 * index + 200 : 400 * index + 400]],
        }
        for index in range(50)
    ]
    assert len(lint(parse_flow(document))) >= 200
