"""Conditions say what is and what to do next, and keep their time while nothing turns."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import parse_flow
from orderflow_model.status import Condition, FlowStatus
from orderflow_model.topic_changes import Ours
from orderflow_model.topics import flow_topics
from orderflow_operator.kubernetes.errors import ConflictError, DatabaseSecretMissingError, KafkaUnavailableError
from orderflow_operator.kubernetes.health import Health, State
from orderflow_operator.kubernetes.kinds import HORIZONTAL_POD_AUTOSCALER, SERVICE, ObjectKey
from orderflow_operator.reconciler.events import condition_events
from orderflow_operator.reconciler.ownership import OwnershipIndex
from orderflow_operator.reconciler.pod_problems import PodProblem, migration_of
from orderflow_operator.reconciler.status import Observation, may_wait, refused, status_of
from orderflow_operator.reconciler.validation import Validation, validate

NOW = datetime(2026, 1, 1, tzinfo=UTC)
READY = Health(State.READY, ready=1, wanted=1)
NONE = FlowStatus()


@pytest.fixture
def well(shop: OrderFlow) -> Observation:
    """The reference flow with all as it should be."""
    services = [service.name for service in shop.spec.services]
    return Observation(
        flow=shop,
        validation=Validation(shop),
        topics={topic.name: Health(State.READY, wanted=topic.partitions) for topic in flow_topics(shop)},
        users={f"shop-{name}": READY for name in services},
        services=dict.fromkeys(services, READY),
        versions=dict.fromkeys(services, "v1"),
        migrations=dict.fromkeys(services, READY),
        settled=True,
    )


def told(status: FlowStatus) -> dict[str, tuple[str, str]]:
    """Status and reason of each condition."""
    return {one.type: (str(one.status), one.reason) for one in status.conditions}


def said(status: FlowStatus, kind: str) -> str:
    """The message of a condition."""
    condition = status.condition(kind)
    assert isinstance(condition, Condition)
    return condition.message


def test_where_a_services_data_was_is_noted_and_where_it_is(well: Observation) -> None:
    """Only what is migrated counts; who is back at a place has been at another, where it is looked for no more."""
    before, seen = NONE, []
    migrated = well.migrations
    for place, there in (("a", False), ("a", True), ("b", False), ("b", True), ("c", True), ("a", True), ("", False)):
        migrations = migrated if there else {}
        before = status_of(replace(well, database=place, migrations=migrations), before, NOW)
        seen.append(before.services[0].databases)
    assert seen == [(), ("a",), ("a",), ("a", "b"), ("b", "c"), ("c", "a"), ("c", "a")]


def test_a_flow_as_great_as_may_be_has_a_status(well: Observation, document: dict[str, Any]) -> None:
    """All of its topics are the operator's own: each event's, and the dead letters of each service and of the sink."""
    names = [f"E{number}" for number in range(200)]
    service = {"image": "i", "subscribes": names[:1], "publishes": names}
    spec = {key: document["spec"][key] for key in ("kafka", "database")}
    spec |= {"events": [{"name": name} for name in names], "analytics": {"image": "i"}}
    spec["services"] = [service | {"name": f"s{number}"} for number in range(50)]
    flow = parse_flow(document | {"spec": spec})
    ours = {topic.name: Ours(True, frozenset()) for topic in flow_topics(flow)}
    status = status_of(replace(well, flow=flow, ours=ours), NONE, NOW)
    assert (len(status.events), len(status.services), len(status.topics)) == (200, 51, 251)


def test_a_flow_that_is_as_it_says_is_ready(well: Observation) -> None:
    """Every condition holds, for the generation that was looked at."""
    status = status_of(well, NONE, NOW)
    assert told(status) == {
        "Valid": ("True", "Valid"),
        "TopicsReady": ("True", "Ready"),
        "IdentitiesReady": ("True", "Ready"),
        "ServicesReady": ("True", "Ready"),
        "Ready": ("True", "Ready"),
        "Degraded": ("False", "AsExpected"),
    }
    assert (status.summary and status.summary.services, status.summary and status.summary.topics) == ("5/5", "17/17")
    assert status.observed_generation == 1
    assert {one.observed_generation for one in status.conditions} == {1}


def test_only_what_passes_may_be_told_later(well: Observation) -> None:
    """Between steps of a roll-out nothing is lost by waiting; a first word, an end, a fault, what is ours may not."""
    started = replace(well, settled=False, services=dict.fromkeys(well.services, Health(State.PENDING, "RollingOut")))
    first = status_of(started, NONE, NOW)
    further = replace(started, services=dict(started.services) | {"order": READY})
    assert status_of(further, first, NOW) != first
    assert may_wait(first, status_of(further, first, NOW))
    assert not may_wait(NONE, first), "a first word"
    assert not may_wait(first, status_of(well, first, NOW)), "ready"
    assert not may_wait(status_of(well, NONE, NOW), status_of(started, first, NOW)), "no longer ready"
    fault = replace(further, problems=(DatabaseSecretMissingError("db", "uri"),))
    assert not may_wait(first, status_of(fault, first, NOW)), "for a person to mend"
    topic = flow_topics(well.flow)[0].name
    ours = replace(further, ours={topic: Ours(True, frozenset({"retention.ms"}))})
    assert not may_wait(first, status_of(ours, first, NOW)), "what a later turn goes by"


def test_the_same_flow_has_the_same_status_later(well: Observation) -> None:
    """Time alone changes nothing, so that nothing is written at rest."""
    first = status_of(well, NONE, NOW)
    waiting = replace(well, services=dict(well.services) | {"order": Health(State.PENDING, "RollingOut", "", 0, 1)})
    assert status_of(well, first, NOW + timedelta(hours=1)) == first
    rolling = status_of(waiting, first, NOW)
    assert status_of(waiting, rolling, NOW + timedelta(seconds=9)) == rolling


def test_a_status_survives_the_api_server(well: Observation) -> None:
    """What is written is read back as it was."""
    status = status_of(well, NONE, NOW)
    assert FlowStatus.of(status.model_dump(mode="json", exclude_none=True)) == status
    assert FlowStatus.of({"conditions": "nonsense"}) == NONE


def test_what_needs_a_person_is_told_of_before_what_takes_time(well: Observation) -> None:
    """Ready names the missing Secret, though topics are not ready either."""
    seen = replace(well, topics={}, problems=(DatabaseSecretMissingError("shop-db", "uri"),), migrations={})
    status = status_of(seen, NONE, NOW)
    assert told(status)["Ready"] == ("False", "DatabaseSecretMissing")
    assert "create it with the admin URI" in said(status, "Ready")
    assert told(status)["TopicsReady"] == ("False", "NotApplied")


def test_a_problem_stands_in_the_condition_it_belongs_to(well: Observation) -> None:
    """A broker that is away says nothing about pods, and the other way round."""
    problems = (
        KafkaUnavailableError("kafka:9092", "timed out"),
        ConflictError(ObjectKey(SERVICE, "shop-order"), "Helm"),
    )
    status = status_of(replace(well, problems=problems), NONE, NOW)
    assert told(status)["TopicsReady"] == ("False", "KafkaUnavailable")
    assert told(status)["ServicesReady"] == ("False", "ObjectConflict")
    assert told(status)["IdentitiesReady"] == ("True", "Ready")
    assert "Service shop-order belongs to Helm" in said(status, "ServicesReady")


def test_the_worst_pod_speaks_for_its_service(well: Observation) -> None:
    """Reason and last line stand by the service and in the condition."""
    seen = replace(
        well,
        services=dict(well.services) | {"payment": Health(State.PENDING, "RollingOut", "", 1, 3)},
        pod_problems={"payment": PodProblem("CrashLoopBackOff", "pod p: ValueError: no provider")},
    )
    status = status_of(seen, NONE, NOW)
    payment = next(one for one in status.services if one.name == "payment")
    assert (payment.ready, payment.desired, payment.reason) == (1, 3, "CrashLoopBackOff")
    assert told(status)["Ready"] == ("False", "CrashLoopBackOff")
    assert "service payment: pod p: ValueError: no provider" in said(status, "ServicesReady")


def test_a_rollout_past_its_deadline_is_degraded(well: Observation) -> None:
    """Deployed is not stable: the deadline counts from the rollout, and a new one starts anew."""
    late = replace(well, services=dict(well.services) | {"order": Health(State.PENDING, "RollingOut", "", 0, 1)})
    began = status_of(late, NONE, NOW)
    assert told(began)["Degraded"] == ("False", "AsExpected")
    after = status_of(late, began, NOW + timedelta(seconds=601))
    assert told(after)["Degraded"] == ("True", "RollingOut")
    assert "0 of 1 pods are ready after 600 s" in said(after, "Degraded")
    anew = replace(late, versions=dict(well.versions) | {"order": "v2"})
    assert told(status_of(anew, after, NOW + timedelta(seconds=602)))["Degraded"] == ("False", "AsExpected")


@pytest.mark.parametrize("began_at", ["2026-01-01T00:00:00.5Z", "2026-01-01T02:00:00+02:00"])
def test_a_status_restored_from_elsewhere_is_read(well: Observation, began_at: str) -> None:
    """Whoever wrote a time with a fraction or an offset, as a CRD lets him, holds up no reconcile."""
    late = replace(well, services=dict(well.services) | {"order": Health(State.PENDING, "RollingOut", "", 0, 1)})
    text = status_of(late, NONE, NOW).model_dump_json().replace("2026-01-01T00:00:00Z", began_at)
    after = status_of(late, FlowStatus.model_validate_json(text), NOW + timedelta(seconds=602))
    assert told(after)["Degraded"] == ("True", "RollingOut")


def test_a_failed_migration_is_degraded_with_its_last_words(well: Observation) -> None:
    """Its pod's last line says what to mend."""
    waiting = Health(State.PENDING, "RollingOut", "", 0, 1)
    seen = replace(
        well,
        services=dict.fromkeys(well.services, waiting),
        migrations=dict(well.migrations)
        | {"payment": Health(State.FAILED, "BackoffLimitExceeded", "Job has reached the specified backoff limit")},
        pod_problems={migration_of("payment"): PodProblem("Error", "pod m: migration failed: InvalidPasswordError")},
    )
    status = status_of(seen, NONE, NOW)
    assert told(status)["Degraded"] == ("True", "MigrationFailed")
    assert "InvalidPasswordError" in said(status, "ServicesReady")


def test_what_a_flow_works_without_is_degraded_and_told_beside_ready(well: Observation) -> None:
    """An autoscaler that cannot act takes no pod away; why it cannot stands where people look."""
    broken = Health(State.FAILED, "FailedGetResourceMetric", "no metrics returned from resource metrics API")
    status = status_of(replace(well, helpers={ObjectKey(HORIZONTAL_POD_AUTOSCALER, "shop-order"): broken}), NONE, NOW)
    assert told(status)["Ready"] == ("True", "Ready")
    assert told(status)["Degraded"] == ("True", "FailedGetResourceMetric")
    for kind in ("Ready", "Degraded"):
        assert "HorizontalPodAutoscaler shop-order does not act: no metrics returned" in said(status, kind)
    assert "metrics-server" in said(status, "Degraded")


def test_what_strimzi_leaves_lying_is_told_with_what_may_be_wrong(well: Observation) -> None:
    """It needs its time; after that its operator, the namespace and the Kafka's name are to be looked at."""
    waiting = Health(State.PENDING, "WaitingForStrimzi", "Strimzi has not taken it up yet")
    seen = replace(well, topics=dict.fromkeys(well.topics, waiting), users=dict.fromkeys(well.users, waiting))
    began = status_of(seen, NONE, NOW)
    assert told(began)["TopicsReady"] == ("False", "WaitingForStrimzi")
    late = status_of(seen, began, NOW + timedelta(seconds=41))
    assert told(late)["TopicsReady"] == told(late)["IdentitiesReady"] == ("False", "NotTakenUp")
    assert told(late)["Ready"] == ("False", "NotTakenUp")
    for words in ("namespace team-a", "Kafka events", "spec.kafka.cluster"):
        assert words in said(late, "TopicsReady")
    slow = status_of(replace(seen, topics=well.topics), began, NOW + timedelta(seconds=39))
    assert told(status_of(replace(seen, topics=well.topics), slow, NOW + timedelta(seconds=70)))["IdentitiesReady"] == (
        "False",
        "WaitingForStrimzi",
    ), "users are made after topics, and have their own time"


def test_a_refused_edit_leaves_what_runs_as_it_was_told(well: Observation, document: dict[str, Any]) -> None:
    """Valid and Ready turn; services and topics keep what was last seen of them."""
    before = status_of(well, NONE, NOW)
    document["spec"]["services"][2]["subscribes"].append("NEVER_SAID")
    after = refused(validate(document, OwnershipIndex(), {}), 2, before, NOW + timedelta(seconds=5))
    assert told(after)["Valid"] == told(after)["Ready"] == ("False", "Invalid")
    assert told(after)["ServicesReady"] == ("True", "Ready")
    assert after.services == before.services
    assert after.observed_generation == 2


def test_a_paused_flow_is_neither_ready_nor_not(well: Observation) -> None:
    """Whoever waits for Ready waits; the message says how to go on."""
    status = status_of(replace(well, paused=True), NONE, NOW)
    assert told(status)["Ready"] == ("Unknown", "Paused")
    assert "orderflow.dev/paused" in said(status, "Ready")


def test_strange_words_of_others_fit_the_schema(well: Observation) -> None:
    """A reason that is no word and a message without end do not keep the status from being written."""
    odd = Health(State.FAILED, "9 lives!", "x" * 100_000, 0, 10**9)
    status = status_of(replace(well, topics=dict(well.topics) | {"shop.order-created": odd}), NONE, NOW)
    assert told(status)["TopicsReady"] == ("False", "lives")
    assert len(said(status, "TopicsReady")) <= 4096


def test_people_are_told_of_turns_and_not_of_progress(well: Observation, document: dict[str, Any]) -> None:
    """Events: ready once, a missing Secret once; nothing of a rollout under way."""

    def reasons(before: FlowStatus, after: FlowStatus) -> list[tuple[str, str]]:
        return [(one["type"], one["reason"]) for one in condition_events(document, before, after, NOW)]

    rolling = replace(well, services=dict(well.services) | {"order": Health(State.PENDING, "RollingOut", "", 0, 1)})
    missing = replace(well, problems=(DatabaseSecretMissingError("shop-db", "uri"),))
    ready, under_way, lacking = (status_of(seen, NONE, NOW) for seen in (well, rolling, missing))
    assert reasons(NONE, under_way) == []
    assert reasons(under_way, ready) == [("Normal", "Ready")]
    assert reasons(ready, ready) == []
    assert reasons(ready, lacking) == [("Warning", "DatabaseSecretMissing")]
    for why in ("NotSupported", "KafkaError", "ReconciliationPaused", "Forbidden"):
        stands = replace(well, topics=dict(well.topics) | {"shop.order-created": Health(State.FAILED, why, "no")})
        assert reasons(ready, status_of(stands, ready, NOW)) == [("Warning", why)]
    assert reasons(NONE, refused(validate({**document, "spec": {}}, OwnershipIndex(), {}), 1, NONE, NOW)) == [
        ("Warning", "Invalid")
    ]


def test_generations_are_those_of_the_resource(document: dict[str, Any], well: Observation) -> None:
    """A condition never speaks of a generation that was not looked at."""
    document["metadata"]["generation"] = 9
    status = status_of(replace(well, flow=parse_flow(document)), NONE, NOW)
    assert {one.observed_generation for one in status.conditions} == {9}


def test_a_topic_that_turned_out_to_be_anothers_is_not_remembered_as_ours(well: Observation) -> None:
    """What the status says was made here is believed where nothing better is known: it says no more than is true."""
    mine = {name: Ours(True, frozenset()) for name in well.topics}
    before = status_of(replace(well, ours=mine), NONE, NOW)
    theirs = next(iter(well.topics))
    taken = well.topics | {theirs: Health(State.FAILED, "TopicConflict")}
    after = status_of(replace(well, topics=taken, ours={}), before, NOW)
    assert before.ours().keys() - after.ours().keys() == {theirs}
