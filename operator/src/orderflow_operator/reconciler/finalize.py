"""What happens when a flow is deleted. Kubernetes removes what the flow owns; only what lies outside needs a finalizer.

With Strimzi that is the data in the database, if it goes at all: topics that are to stay have no owner, the rest goes
by itself, Strimzi there or not. With a Kafka of its own users must go, and topics and groups if the flow says so. First
the pods end, so that nothing is written to what goes. What does not answer is waited for, but not for ever: a namespace
is never held up, and what had to be left is told.
"""

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass

from orderflow_model.conditions import TOPICS_READY
from orderflow_model.flow import GROUP, OrderFlow
from orderflow_model.lint.secrets import DATABASE_PLACE
from orderflow_model.status import FlowStatus
from orderflow_model.timestamps import read_time
from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.kubernetes.client import ApiError
from orderflow_operator.kubernetes.errors import DataLeftError, FlowError, KafkaUnavailableError
from orderflow_operator.kubernetes.kinds import DEPLOYMENT, JOB, ObjectKey
from orderflow_operator.kubernetes.labels import Object
from orderflow_operator.kubernetes.objects import ObjectClient
from orderflow_operator.reconciler.context import Dependencies
from orderflow_operator.reconciler.events import event
from orderflow_operator.reconciler.kafka_provisioner import drops_data, needs_admin
from orderflow_operator.reconciler.outcome import Outcome
from orderflow_operator.reconciler.removal import has_pods, leave_jobs, left, remove_data, what_is_left
from orderflow_operator.resources import migrationjob

logger = logging.getLogger(__name__)

KAFKA_FINALIZER = f"{GROUP}/kafka"
DATABASE_FINALIZER = f"{GROUP}/database"
PATIENCE_SECONDS = 60.0
DATA_PATIENCE_SECONDS = 120.0

_UNREADABLE = "the resource cannot be read; what it had at Kafka and in its database is left"
_LEFT_AT_KAFKA = "users, and topics and consumer groups if deletionPolicy is Delete, are left there"


@dataclass(frozen=True)
class _News:
    """What a person is told of an end, as an Event has it."""

    kind: str
    reason: str
    words: str


_DROPPED = _News("Normal", "DataRemoved", "the flow's schemas and roles are gone from its database")


async def add_finalizers(key: FlowKey, raw: Object, flow: OrderFlow, cluster: ObjectClient) -> None:
    """Have Kubernetes wait for us before the flow goes, where something lies outside."""
    finalizers = raw["metadata"].get("finalizers", [])
    needed = {KAFKA_FINALIZER: needs_admin(flow), DATABASE_FINALIZER: drops_data(flow)}
    if missing := [name for name, is_needed in needed.items() if is_needed and name not in finalizers]:
        await cluster.write_finalizers(key, raw["metadata"]["resourceVersion"], [*finalizers, *missing])


async def finalize(key: FlowKey, raw: Object, flow: OrderFlow | None, deps: Dependencies) -> Outcome:
    """Remove what lies outside and let the flow go, once it may."""
    finalizers = raw["metadata"].get("finalizers", [])
    rest = [name for name in finalizers if name not in (KAFKA_FINALIZER, DATABASE_FINALIZER)]
    if rest == finalizers:
        return Outcome.SETTLED
    news = [_incomplete(_UNREADABLE)] if flow is None else await _ended(key, raw, flow, deps)
    if news is None:
        return Outcome.ENDING
    for one in news:  # told twice if it dies now, and not never
        await _tell(raw, one, deps)
    await deps.cluster.write_finalizers(key, raw["metadata"]["resourceVersion"], rest)
    deps.provisioning.forget(key)
    return Outcome.SETTLED


async def _ended(key: FlowKey, raw: Object, flow: OrderFlow, deps: Dependencies) -> list[_News] | None:
    """End all that lies outside; return what is to be told once that is over, be it that something had to be left.

    It is over at once in a namespace that goes: whoever waits there loses the rights to let the flow go. An operator
    that was away has its full time: what nobody was there to do has not been waited for.
    """
    waited = (deps.now() - max(read_time(raw["metadata"]["deletionTimestamp"]), deps.started)).total_seconds()
    is_last = drops_data(flow) and await deps.cluster.namespace_ends(key.namespace)
    patient = drops_data(flow) and not is_last and waited < PATIENCE_SECONDS
    if patient and not await _pods_ended(key, deps.cluster):
        return None
    data, kafka = await asyncio.gather(
        _tried(key, _end_data(key, raw, flow, deps, waited, is_last=is_last), waited),
        _tried(key, _end_kafka(key, raw, flow, deps), waited),
    )
    if not (data and kafka):
        return None
    if not is_last:
        await leave_jobs(key, flow, deps.cluster)
    news = [_incomplete(f"{data.message}; {what_is_left(flow)}")] if isinstance(data, FlowError) else []
    news += [_DROPPED] if data is True and drops_data(flow) else []
    return news + ([_incomplete(f"{kafka.message}; {_LEFT_AT_KAFKA}")] if isinstance(kafka, FlowError) else [])


async def _tried(key: FlowKey, end: Awaitable[bool], waited: float) -> bool | FlowError:
    """Return whether an end is reached, or why it is not and will not be."""
    try:
        return await end
    except Exception as error:
        if _may_pass(error) and waited < PATIENCE_SECONDS:
            logger.warning("%s: %s; tried again", key, error, extra={"flow": str(key)})
            return False
        return error if isinstance(error, FlowError) else _unforeseen(error)


async def _pods_ended(key: FlowKey, cluster: ObjectClient) -> bool:
    """Take away what starts pods; tell whether the last has ended."""
    for one in [one for one in cluster.objects(key) if _starts_pods(key, one)]:
        await cluster.remove(key, one)
    return not await has_pods(key, [], cluster)


def _starts_pods(key: FlowKey, one: ObjectKey) -> bool:
    is_migration = one.kind is JOB and one.name.startswith(migrationjob.prefix(key.name))
    return one.kind is DEPLOYMENT or is_migration


async def _end_data(
    key: FlowKey, raw: Object, flow: OrderFlow, deps: Dependencies, waited: float, *, is_last: bool
) -> bool:
    if not drops_data(flow):
        return True
    if is_last:
        raise DataLeftError("nothing can be started in a namespace that is being deleted", str(key))
    await deps.credentials.check_named(key, flow, DATABASE_PLACE)
    place = (await deps.credentials.admin(key, flow)).database.fingerprint
    services = FlowStatus.of(raw.get("status")).services
    if behind := [one.name for one in services if one.databases and place != one.databases[-1]]:
        raise DataLeftError(f"{', '.join(behind)} had it in another database than the flow names by now", str(key))
    if await remove_data(key, flow, [], deps.cluster):
        return True
    if waited < DATA_PATIENCE_SECONDS:
        return False
    raise await left(key, deps.cluster, "the job that drops it did not end in time")


async def _end_kafka(key: FlowKey, raw: Object, flow: OrderFlow, deps: Dependencies) -> bool:
    if needs_admin(flow):
        await deps.provisioning.remove(key, flow, FlowStatus.of(raw.get("status")))
    return True


def _may_pass(error: Exception) -> bool:
    """Return whether another try may fare better; other errors of the API server come again, and hold nothing up."""
    return isinstance(error, KafkaUnavailableError) or (isinstance(error, ApiError) and error.passing)


def _unforeseen(error: Exception) -> FlowError:
    """Return what is told of an error that nobody foresaw: whatever a resource says, it can be deleted."""
    logger.exception("teardown")
    return FlowError(TOPICS_READY, "TeardownFailed", f"{type(error).__name__}: {error}")


def _incomplete(words: str) -> _News:
    return _News("Warning", "TeardownIncomplete", words)


async def _tell(raw: Object, news: _News, deps: Dependencies) -> None:
    logger.info("%s/%s: %s: %s", raw["metadata"]["namespace"], raw["metadata"]["name"], news.reason, news.words)
    try:
        await deps.cluster.post_event(event(raw, news.kind, news.reason, news.words, deps.now()))
    except ApiError as error:
        logger.warning("no event for %s: %s", raw["metadata"]["name"], error)
