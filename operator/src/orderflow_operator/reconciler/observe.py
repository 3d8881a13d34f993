"""How what a flow wants fares, read from what is remembered of it. Pure."""

from collections.abc import Iterable, Mapping

from orderflow_model.flow import OrderFlow
from orderflow_model.topics import flow_topics
from orderflow_operator.kafka.admin import Provisioned
from orderflow_operator.kubernetes.cache import Objects
from orderflow_operator.kubernetes.cached_object import digest_of, written
from orderflow_operator.kubernetes.health import NOT_APPLIED, Health, State
from orderflow_operator.kubernetes.kinds import DEPLOYMENT, JOB, KAFKA_TOPIC, KAFKA_USER, Kind, ObjectKey, kind_of
from orderflow_operator.kubernetes.labels import SERVICE_LABEL, Object
from orderflow_operator.reconciler.context import ReconcileContext
from orderflow_operator.reconciler.status import Observation
from orderflow_operator.reconciler.validation import Validation
from orderflow_operator.resources import deployment, kafkatopic


def observe_objects(
    context: ReconcileContext, validation: Validation, objects: Objects, provisioned: Provisioned
) -> Observation:
    """Return what is there of all that the flow wants."""
    found = {ObjectKey.of(one): observed_health(one, objects) for one in context.wanted}
    helpers = {name: health for name, health in found.items() if name.kind.lack}
    needed = (health for name, health in found.items() if name not in helpers)
    states = [health.state for health in (*needed, *provisioned.topics.values())]
    return Observation(
        flow=context.flow,
        validation=validation,
        topics=_topics(context.flow, found) | provisioned.topics,
        users=_by_kind(found, KAFKA_USER) | provisioned.users,
        services=_services(context.flow, found),
        versions=_versions(context.flow, context.wanted),
        migrations=_migrations(context.wanted, objects),
        helpers=helpers,
        ours=provisioned.ours,
        settled=all(state is State.READY for state in states),
    )


def observed_health(wanted: Object, objects: Objects) -> Health:
    """Return how an object fares as far as it is the one wanted; an older version of it is never ready."""
    cached = objects.get(ObjectKey.of(wanted))
    if cached is None:
        return Health(State.PENDING, NOT_APPLIED, "not written yet")
    if not is_applied(wanted, objects):
        return cached.health._replace(state=State.PENDING, reason="RollingOut", message="")
    return cached.health


def is_applied(wanted: Object, objects: Objects) -> bool:
    """Return whether an object is there as it is wanted."""
    cached = objects.get(ObjectKey.of(wanted))
    return cached is not None and cached.clean and cached.applied == digest_of(wanted)


def _migrations(wanted: Iterable[Object], objects: Objects) -> dict[str, Health]:
    jobs = (one for one in wanted if kind_of(one) is JOB)
    return {job["metadata"]["labels"][SERVICE_LABEL]: observed_health(job, objects) for job in jobs}


def _by_kind(all_health: Mapping[ObjectKey, Health], kind: Kind) -> dict[str, Health]:
    return {one.name: health for one, health in all_health.items() if one.kind is kind}


def _topics(flow: OrderFlow, all_health: Mapping[ObjectKey, Health]) -> dict[str, Health]:
    found = _by_kind(all_health, KAFKA_TOPIC)
    named = ((topic.name, kafkatopic.name(topic.name)) for topic in flow_topics(flow))
    return {topic: found[name] for topic, name in named if name in found}


def _services(flow: OrderFlow, all_health: Mapping[ObjectKey, Health]) -> dict[str, Health]:
    found = _by_kind(all_health, DEPLOYMENT)
    return {service.name: found[deployment.name(flow, service.name)] for service in flow.spec.services}


def _versions(flow: OrderFlow, wanted: Iterable[Object]) -> dict[str, str]:
    digests = {one["metadata"]["name"]: digest_of(one) for one in wanted if kind_of(one) is DEPLOYMENT}
    return {service.name: written(digests[deployment.name(flow, service.name)]) for service in flow.spec.services}
