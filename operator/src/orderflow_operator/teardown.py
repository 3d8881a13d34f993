"""What happens when a flow is deleted. Kubernetes removes what the flow owns; only what lies outside needs a finalizer.

With Strimzi nothing does: topics that are to stay have no owner, the rest goes by itself, Strimzi there or not. With a
Kafka of its own the users must go, and the topics if the flow says so. A Kafka that does not answer is waited for, but
not for ever: a namespace is never held up.
"""

import logging
from datetime import UTC, datetime

from orderflow_model.conditions import TOPICS_READY
from orderflow_model.flow import GROUP, OrderFlow
from orderflow_operator.announcements import event
from orderflow_operator.api import ApiError
from orderflow_operator.cluster import Cluster
from orderflow_operator.errors import FlowError, KafkaUnavailableError
from orderflow_operator.flow_status import FlowStatus
from orderflow_operator.outcome import Outcome
from orderflow_operator.provisioning import Provisioning
from orderflow_operator.resources.metadata import Object
from orderflow_operator.store import FlowKey

logger = logging.getLogger(__name__)

FINALIZER = f"{GROUP}/kafka"
PATIENCE_SECONDS = 60.0


async def add_finalizer(key: FlowKey, raw: Object, cluster: Cluster) -> None:
    """Have Kubernetes wait for us before the flow goes."""
    finalizers = raw["metadata"].get("finalizers", [])
    if FINALIZER not in finalizers:
        await cluster.write_finalizers(key, raw["metadata"]["resourceVersion"], [*finalizers, FINALIZER])


async def tear_down(
    key: FlowKey, raw: Object, flow: OrderFlow | None, cluster: Cluster, provisioning: Provisioning, now: datetime
) -> Outcome:
    """Remove what lies outside and let the flow go, once it may."""
    metadata = raw["metadata"]
    finalizers = metadata.get("finalizers", [])
    if FINALIZER not in finalizers:
        return Outcome.SETTLED
    if flow is not None:
        try:
            await provisioning.remove(key, flow, FlowStatus.of(raw.get("status")))
        except Exception as error:
            waited = (now - _time(metadata["deletionTimestamp"])).total_seconds()
            if _may_pass(error) and waited < PATIENCE_SECONDS:
                logger.warning("%s: %s; tried again", key, error, extra={"flow": str(key)})
                return Outcome.TROUBLED
            problem = error if isinstance(error, FlowError) else _unforeseen(error)
            await _tell(raw, problem, cluster, now)
    rest = [finalizer for finalizer in finalizers if finalizer != FINALIZER]
    await cluster.write_finalizers(key, metadata["resourceVersion"], rest)
    return Outcome.SETTLED


def _may_pass(error: Exception) -> bool:
    """Tell whether another try may fare better; other errors of the API server come again, and hold nothing up."""
    return isinstance(error, KafkaUnavailableError) or (isinstance(error, ApiError) and error.passing)


def _unforeseen(error: Exception) -> FlowError:
    """Return what is told of an error that nobody foresaw: whatever a resource says, it can be deleted."""
    logger.exception("teardown")
    return FlowError(TOPICS_READY, "TeardownFailed", f"{type(error).__name__}: {error}")


async def _tell(raw: Object, problem: FlowError, cluster: Cluster, now: datetime) -> None:
    words = f"{problem.message}; users, and topics if deletionPolicy is Delete, are left there"
    try:
        await cluster.post_event(event(raw, "Warning", "TeardownIncomplete", words, now))
    except ApiError as error:
        logger.warning("no event for %s: %s", raw["metadata"]["name"], error)


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
