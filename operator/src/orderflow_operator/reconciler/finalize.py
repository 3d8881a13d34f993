"""What happens when a flow is deleted. Kubernetes removes what the flow owns; only what lies outside needs a finalizer.

With Strimzi that is the data in the database, if it goes at all: topics that are to stay have no owner, the rest goes
by itself, Strimzi there or not. With a Kafka of its own users must go, and topics and groups if the flow says so. First
the pods end, so that nothing is written to what goes. What does not answer is waited for, but not for ever: a namespace
is never held up, and what had to be left is told.
"""

import asyncio
import logging
from collections.abc import Awaitable
from datetime import UTC, datetime

from orderflow_model.conditions import TOPICS_READY
from orderflow_model.flow import GROUP, OrderFlow
from orderflow_model.status import FlowStatus
from orderflow_operator.kubernetes.cache import FlowKey, entry
from orderflow_operator.kubernetes.client import ApiError
from orderflow_operator.kubernetes.errors import FlowError, KafkaUnavailableError
from orderflow_operator.kubernetes.kinds import BY_NAME
from orderflow_operator.kubernetes.labels import Object
from orderflow_operator.kubernetes.objects import Cluster
from orderflow_operator.reconciler.context import Parts
from orderflow_operator.reconciler.events import event
from orderflow_operator.reconciler.kafka_provisioner import drops_data, needs_admin
from orderflow_operator.reconciler.outcome import Outcome
from orderflow_operator.reconciler.removal import forget_jobs, has_pods, left, remove_data, what_is_left
from orderflow_operator.resources import deployment, migrationjob

logger = logging.getLogger(__name__)

KAFKA_FINALIZER = f"{GROUP}/kafka"
DATABASE_FINALIZER = f"{GROUP}/database"
PATIENCE_SECONDS = 60.0
DATA_PATIENCE_SECONDS = 120.0

_DEPLOYMENT = entry(deployment.KIND, "")
_MIGRATION = entry(migrationjob.KIND, "{}-migrate-")
_UNREADABLE = "the resource cannot be read; what it had at Kafka and in its database is left"
_LEFT_AT_KAFKA = "users, and topics and consumer groups if deletionPolicy is Delete, are left there"


async def add_finalizers(key: FlowKey, raw: Object, flow: OrderFlow, cluster: Cluster) -> None:
    """Have Kubernetes wait for us before the flow goes, where something lies outside."""
    finalizers = raw["metadata"].get("finalizers", [])
    needed = {KAFKA_FINALIZER: needs_admin(flow), DATABASE_FINALIZER: drops_data(flow)}
    if missing := [name for name, is_needed in needed.items() if is_needed and name not in finalizers]:
        await cluster.write_finalizers(key, raw["metadata"]["resourceVersion"], [*finalizers, *missing])


async def tear_down(key: FlowKey, raw: Object, flow: OrderFlow | None, parts: Parts) -> Outcome:
    """Remove what lies outside and let the flow go, once it may."""
    finalizers = raw["metadata"].get("finalizers", [])
    rest = [name for name in finalizers if name not in (KAFKA_FINALIZER, DATABASE_FINALIZER)]
    if rest == finalizers:
        return Outcome.SETTLED
    if flow is None:
        await _tell(raw, "Warning", "TeardownIncomplete", _UNREADABLE, parts)
    elif not await _ended(key, raw, flow, parts):
        return Outcome.ENDING
    await parts.cluster.write_finalizers(key, raw["metadata"]["resourceVersion"], rest)
    await parts.provisioning.forget(key)
    return Outcome.SETTLED


async def _ended(key: FlowKey, raw: Object, flow: OrderFlow, parts: Parts) -> bool:
    """End all that lies outside; tell whether that is over, be it that something had to be left, which is told."""
    waited = (parts.now() - _time(raw["metadata"]["deletionTimestamp"])).total_seconds()
    if drops_data(flow) and waited < PATIENCE_SECONDS and not await _pods_ended(key, parts.cluster):
        return False
    data, kafka = await asyncio.gather(
        _tried(key, _end_data(key, flow, parts, waited), waited),
        _tried(key, _end_kafka(key, raw, flow, parts), waited),
    )
    if not (data and kafka):
        return False
    if isinstance(data, FlowError):
        await _tell(raw, "Warning", "TeardownIncomplete", f"{data.message}; {what_is_left(flow)}", parts)
    elif drops_data(flow):
        await _tell(raw, "Normal", "DataRemoved", "the flow's schemas and roles are gone from its database", parts)
    if isinstance(kafka, FlowError):
        await _tell(raw, "Warning", "TeardownIncomplete", f"{kafka.message}; {_LEFT_AT_KAFKA}", parts)
    await forget_jobs(key, flow, parts.cluster)
    return True


async def _tried(key: FlowKey, end: Awaitable[bool], waited: float) -> bool | FlowError:
    """Return whether an end is reached, or why it is not and will not be."""
    try:
        return await end
    except Exception as error:
        if _may_pass(error) and waited < PATIENCE_SECONDS:
            logger.warning("%s: %s; tried again", key, error, extra={"flow": str(key)})
            return False
        return error if isinstance(error, FlowError) else _unforeseen(error)


async def _pods_ended(key: FlowKey, cluster: Cluster) -> bool:
    """Take away what starts pods; tell whether the last has ended."""
    of_pods = [name for name in cluster.objects(key) if name.startswith((_DEPLOYMENT, _MIGRATION.format(key.name)))]
    for kind, _, name in (one.partition("/") for one in of_pods):
        await cluster.remove(key, BY_NAME[kind], name)
    return not await has_pods(key, [], cluster)


async def _end_data(key: FlowKey, flow: OrderFlow, parts: Parts, waited: float) -> bool:
    if not drops_data(flow):
        return True
    await parts.credentials.check_named(key, flow)
    await parts.credentials.admin(key, flow)
    if await remove_data(key, flow, [], parts.cluster):
        return True
    if waited < DATA_PATIENCE_SECONDS:
        return False
    raise await left(key, parts.cluster, "the job that drops it did not end in time")


async def _end_kafka(key: FlowKey, raw: Object, flow: OrderFlow, parts: Parts) -> bool:
    if needs_admin(flow):
        await parts.provisioning.remove(key, flow, FlowStatus.of(raw.get("status")))
    return True


def _may_pass(error: Exception) -> bool:
    """Tell whether another try may fare better; other errors of the API server come again, and hold nothing up."""
    return isinstance(error, KafkaUnavailableError) or (isinstance(error, ApiError) and error.passing)


def _unforeseen(error: Exception) -> FlowError:
    """Return what is told of an error that nobody foresaw: whatever a resource says, it can be deleted."""
    logger.exception("teardown")
    return FlowError(TOPICS_READY, "TeardownFailed", f"{type(error).__name__}: {error}")


async def _tell(raw: Object, kind: str, reason: str, words: str, parts: Parts) -> None:
    logger.info("%s/%s: %s: %s", raw["metadata"]["namespace"], raw["metadata"]["name"], reason, words)
    try:
        await parts.cluster.post_event(event(raw, kind, reason, words, parts.now()))
    except ApiError as error:
        logger.warning("no event for %s: %s", raw["metadata"]["name"], error)


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
