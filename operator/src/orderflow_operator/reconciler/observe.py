"""How what a flow wants fares, read from what is remembered of it. Pure."""

from collections.abc import Iterable, Mapping

from orderflow_model.flow import OrderFlow
from orderflow_model.topics import flow_topics
from orderflow_operator.kafka.admin import Provisioned
from orderflow_operator.kubernetes.cache import Objects, entry
from orderflow_operator.kubernetes.cached_object import digest_of, written
from orderflow_operator.kubernetes.health import HELPERS, NOT_APPLIED, Health, State
from orderflow_operator.kubernetes.labels import SERVICE_LABEL, Object
from orderflow_operator.reconciler.context import Turn
from orderflow_operator.reconciler.status import Seen
from orderflow_operator.reconciler.validation import Verdict
from orderflow_operator.resources import deployment, kafkatopic, kafkauser, migrationjob


def look(turn: Turn, verdict: Verdict, objects: Objects, provisioned: Provisioned) -> Seen:
    """Return what is there of all that the flow wants."""
    found = {entry(one["kind"], one["metadata"]["name"]): fares(one, objects) for one in turn.wanted}
    helpers = {name: health for name, health in found.items() if name.partition("/")[0] in HELPERS}
    needed = (health for name, health in found.items() if name not in helpers)
    states = [health.state for health in (*needed, *provisioned.topics.values())]
    return Seen(
        flow=turn.flow,
        verdict=verdict,
        topics=_topics(turn.flow, found) | provisioned.topics,
        users=_by_kind(found, kafkauser.KIND) | provisioned.users,
        services=_services(turn.flow, found),
        versions=_versions(turn.flow, turn.wanted),
        migrations=_migrations(turn.wanted, objects),
        helpers=helpers,
        ours=provisioned.ours,
        settled=all(state is State.READY for state in states),
    )


def fares(wanted: Object, objects: Objects) -> Health:
    """Return how an object fares as far as it is the one wanted; an older version of it is never ready."""
    live = objects.get(entry(wanted["kind"], wanted["metadata"]["name"]))
    if live is None:
        return Health(State.PENDING, NOT_APPLIED, "not written yet")
    if not is_applied(wanted, objects):
        return live.health._replace(state=State.PENDING, reason="RollingOut", message="")
    return live.health


def is_applied(wanted: Object, objects: Objects) -> bool:
    """Tell whether an object is there as it is wanted."""
    live = objects.get(entry(wanted["kind"], wanted["metadata"]["name"]))
    return live is not None and live.clean and live.applied == digest_of(wanted)


def _migrations(wanted: Iterable[Object], objects: Objects) -> dict[str, Health]:
    jobs = (one for one in wanted if one["kind"] == migrationjob.KIND)
    return {job["metadata"]["labels"][SERVICE_LABEL]: fares(job, objects) for job in jobs}


def _by_kind(all_fares: Mapping[str, Health], kind: str) -> dict[str, Health]:
    prefix = entry(kind, "")
    return {name.removeprefix(prefix): health for name, health in all_fares.items() if name.startswith(prefix)}


def _topics(flow: OrderFlow, all_fares: Mapping[str, Health]) -> dict[str, Health]:
    found = _by_kind(all_fares, kafkatopic.KIND)
    named = ((topic.name, kafkatopic.name(topic.name)) for topic in flow_topics(flow))
    return {topic: found[name] for topic, name in named if name in found}


def _services(flow: OrderFlow, all_fares: Mapping[str, Health]) -> dict[str, Health]:
    found = _by_kind(all_fares, deployment.KIND)
    return {service.name: found[deployment.name(flow, service.name)] for service in flow.spec.services}


def _versions(flow: OrderFlow, wanted: Iterable[Object]) -> dict[str, str]:
    digests = {one["metadata"]["name"]: digest_of(one) for one in wanted if one["kind"] == deployment.KIND}
    return {service.name: written(digests[deployment.name(flow, service.name)]) for service in flow.spec.services}
