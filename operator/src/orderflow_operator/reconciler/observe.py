"""How what a flow wants fares, read from what is remembered of it. Pure."""

from collections.abc import Iterable, Iterator, Mapping

from orderflow_model.flow import OrderFlow
from orderflow_model.placement import processes, processes_by_service
from orderflow_model.topics import Topic
from orderflow_operator.kafka.admin import Provisioned
from orderflow_operator.kubernetes.cache import Objects
from orderflow_operator.kubernetes.cached_object import CachedObject, written
from orderflow_operator.kubernetes.health import NOT_APPLIED, SCALED_TO_ZERO, SCALING_OUT, Health, State
from orderflow_operator.kubernetes.kinds import (
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    JOB,
    KAFKA_TOPIC,
    KAFKA_USER,
    POD_DISRUPTION_BUDGET,
    SCALED_OBJECT,
    Kind,
    ObjectKey,
)
from orderflow_operator.kubernetes.labels import SERVICE_LABEL
from orderflow_operator.kubernetes.wanted_object import WantedObject
from orderflow_operator.reconciler.context import ReconcileContext
from orderflow_operator.reconciler.rights import withheld
from orderflow_operator.reconciler.status import Observation
from orderflow_operator.reconciler.validation import Validation
from orderflow_operator.resources import deployment, kafkatopic, poddisruptionbudget


def observe_objects(
    context: ReconcileContext, validation: Validation, objects: Objects, provisioned: Provisioned
) -> Observation:
    """Return what is there of all that the flow wants."""
    found = {one.key: observed_health(one, objects) for one in context.wanted}
    found |= dict(_short_of_rights(context.wanted, objects))
    found |= dict(_short_of_pods(context.flow, found))
    helpers = {name: health for name, health in found.items() if name.kind.lack}
    needed = (health for name, health in found.items() if name not in helpers)
    states = [health.state for health in (*needed, *provisioned.topics.values())]
    return Observation(
        flow=context.flow,
        validation=validation,
        topics=_topics(validation.topics, found) | provisioned.topics,
        users=_by_kind(found, KAFKA_USER) | provisioned.users,
        services=_services(context.flow, found),
        versions=_versions(context.flow, context.wanted),
        migrations=_migrations(context.wanted, objects),
        helpers=helpers,
        ours=provisioned.ours,
        kafka=provisioned.kafka,
        database=context.build.database.fingerprint if context.build.database else "",
        settled=all(state is State.READY for state in states),
    )


def observed_health(wanted: WantedObject, objects: Objects) -> Health:
    """Return how an object fares as far as it is the one wanted; an older version of it is never ready."""
    cached = objects.get(wanted.key)
    if cached is None:
        return Health(State.PENDING, NOT_APPLIED, "not written yet")
    if not is_applied(wanted, objects):
        return cached.health._replace(state=State.PENDING, reason="RollingOut", message="")
    return cached.health


def is_applied(wanted: WantedObject, objects: Objects) -> bool:
    """Return whether an object is there as it is wanted."""
    cached = objects.get(wanted.key)
    return cached is not None and cached.is_as(wanted.digest)


def seen_with_several(flow: OrderFlow, objects: Objects) -> frozenset[str]:
    """Return the processes that have more than one pod, or had: their budget is there."""
    return frozenset(
        process.name
        for process in processes(flow)
        if _pods(objects.get(ObjectKey(DEPLOYMENT, deployment.name(flow, process.name)))) > 1
        or ObjectKey(POD_DISRUPTION_BUDGET, poddisruptionbudget.name(flow, process.name)) in objects
    )


def _pods(cached: CachedObject | None) -> int:
    return cached.health.wanted if cached else 0


def _short_of_rights(wanted: Iterable[WantedObject], objects: Objects) -> Iterator[tuple[ObjectKey, Health]]:
    """Return the users that wait for topics which Strimzi refuses."""
    for user in (one for one in wanted if one.kind is KAFKA_USER):
        if (topics := withheld(user, objects)) and not is_applied(user, objects):
            words = f"has no right yet on {', '.join(topics)}: it comes when the topic is ready"
            yield user.key, Health(State.PENDING, "RightsWithheld", words)


def _short_of_pods(flow: OrderFlow, found: Mapping[ObjectKey, Health]) -> Iterator[tuple[ObjectKey, Health]]:
    """Return the processes that have fewer pods than the flow says at least: only an autoscaler gives them more."""
    for process in processes(flow):
        named = ObjectKey(DEPLOYMENT, deployment.name(flow, process.name))
        health = found[named]
        if health.state is State.READY and health.wanted < process.scale.min:
            reason, why = _why_not_scaled(flow, named.name, health.wanted, found)
            words = f"{health.wanted} of at least {process.scale.min} pods: {why}"
            yield named, health._replace(state=State.PENDING, reason=reason, message=words)


def _why_not_scaled(flow: OrderFlow, name: str, pods: int, found: Mapping[ObjectKey, Health]) -> tuple[str, str]:
    """Return reason and words; an autoscaler needs some seconds, and never begins where somebody asked for none."""
    if not pods:
        command = f"kubectl scale -n {flow.metadata.namespace} deployment {name} --replicas=1"
        return SCALED_TO_ZERO, f"somebody set it to none, where its autoscaler does not act: {command}"
    for one in (ObjectKey(SCALED_OBJECT, name), ObjectKey(HORIZONTAL_POD_AUTOSCALER, name)):
        health = found.get(one)
        if health and health.state is State.FAILED:
            return health.reason, f"{one} does not act: {health.message or health.reason}"
    return SCALING_OUT, "its autoscaler has not given it more yet"


def _migrations(wanted: Iterable[WantedObject], objects: Objects) -> dict[str, Health]:
    jobs = (one for one in wanted if one.kind is JOB)
    return {job["metadata"]["labels"][SERVICE_LABEL]: observed_health(job, objects) for job in jobs}


def _by_kind(all_health: Mapping[ObjectKey, Health], kind: Kind) -> dict[str, Health]:
    return {one.name: health for one, health in all_health.items() if one.kind is kind}


def _topics(topics: Iterable[Topic], all_health: Mapping[ObjectKey, Health]) -> dict[str, Health]:
    found = _by_kind(all_health, KAFKA_TOPIC)
    named = ((topic.name, kafkatopic.name(topic.name)) for topic in topics)
    return {topic: found[name] for topic, name in named if name in found}


def _services(flow: OrderFlow, all_health: Mapping[ObjectKey, Health]) -> dict[str, Health]:
    found = _by_kind(all_health, DEPLOYMENT)
    running = processes_by_service(flow)
    return {service: found[deployment.name(flow, process.name)] for service, process in running.items()}


def _versions(flow: OrderFlow, wanted: Iterable[WantedObject]) -> dict[str, str]:
    digests = {one.key.name: one.digest for one in wanted if one.kind is DEPLOYMENT}
    running = processes_by_service(flow)
    return {service: written(digests[deployment.name(flow, process.name)]) for service, process in running.items()}
