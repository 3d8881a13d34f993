"""What a flow has in its database goes by its `deletionPolicy`: under Delete a Job drops it, once the pods are gone.

The whole flow's when it is deleted (`finalize.py`), a service's when that leaves the flow (`prune.py`). The Job drops
only what is marked as the flow's, so it can be begun again at any time.
"""

from collections.abc import Collection, Sequence

from orderflow_model.flow import OrderFlow
from orderflow_model.names import role_name, schema_name
from orderflow_model.placement import processes
from orderflow_operator.kubernetes.cache import FlowKey, Objects
from orderflow_operator.kubernetes.errors import DataLeftError
from orderflow_operator.kubernetes.health import State
from orderflow_operator.kubernetes.kinds import JOB, ObjectKey
from orderflow_operator.kubernetes.labels import COMPONENT_LABEL, SERVICE_LABEL
from orderflow_operator.kubernetes.objects import ObjectClient
from orderflow_operator.kubernetes.wanted_object import WantedObject
from orderflow_operator.reconciler.kafka_provisioner import drops_data
from orderflow_operator.reconciler.pod_problems import problem_of
from orderflow_operator.reconciler.prune import NotYetGoneError, is_reminder
from orderflow_operator.resources import removaljob


def service_names(flow: OrderFlow) -> list[str]:
    """Return the services whose data the flow has."""
    return [service.name for service in flow.services]


def at_work(flow: OrderFlow, objects: Objects, keep: Collection[ObjectKey]) -> set[ObjectKey]:
    """Return the key of the Job that drops what left the flow, where one is needed: while a service is to go."""
    leaving = any(one not in keep and is_reminder(one, keep) for one in objects)
    return _of_now(flow, objects) if leaving else set()


def called_off(flow: OrderFlow, objects: Objects) -> bool:
    """Return whether a Job is still there that could drop what the flow has again: nothing may be made meanwhile."""
    return bool(_jobs(flow, objects) - _of_now(flow, objects))


async def has_pods(key: FlowKey, keep: Sequence[str], cluster: ObjectClient) -> bool:
    """Return whether a pod of another service or process than these is there, be it ending; for none, of any."""
    for pod in await cluster.pods(key):
        labels = pod["metadata"].get("labels") or {}
        other = labels[SERVICE_LABEL] not in keep if SERVICE_LABEL in labels else not keep
        if other and labels.get(COMPONENT_LABEL) != removaljob.COMPONENT:
            return True
    return False


async def remove_data(key: FlowKey, flow: OrderFlow, keep: Sequence[str], cluster: ObjectClient) -> bool:
    """Have all dropped but what the services to keep have; tell whether that is done. Raise `FlowError`.

    Done stays done while the Job is there.
    """
    wanted = WantedObject(removaljob.build(flow, keep))
    cached = cluster.objects(key).get(wanted.key)
    if cached is None:
        await cluster.apply(key, flow.metadata.uid or "", wanted)
        return False
    if cached.health.state is State.FAILED:
        raise await left(key, cluster, f"{cached.health.reason}: {cached.health.message}")
    return cached.health.state is State.READY


async def leave_jobs(key: FlowKey, flow: OrderFlow, cluster: ObjectClient) -> None:
    """Let the Jobs go with the flow, which is about to; one that is done is not deleted, else it would run again."""
    last = removaljob.build(flow, [])
    for job in _jobs(flow, cluster.objects(key)):
        if job == ObjectKey.of(last):
            await cluster.apply(key, flow.metadata.uid or "", WantedObject(removaljob.owned(last, flow)))
        else:
            await cluster.remove(key, job)


async def retire_data(key: FlowKey, flow: OrderFlow, cluster: ObjectClient) -> None:
    """Drop what services have that left, if the flow says so; raise `FlowError`, `NotYetGoneError` while that takes."""
    if not drops_data(flow):
        return
    keep = service_names(flow)
    staying = [*keep, *(process.name for process in processes(flow))]
    if await has_pods(key, staying, cluster) or not await remove_data(key, flow, keep, cluster):
        raise NotYetGoneError


async def left(key: FlowKey, cluster: ObjectClient, why: str) -> DataLeftError:
    """Return the error that says why data is left, in the words of the Job's pod where it has any."""
    problem = problem_of(await cluster.pods(key), removaljob.COMPONENT)
    return DataLeftError(f"{problem.reason}, {problem.message}" if problem else why, str(key))


def what_is_left(flow: OrderFlow) -> str:
    """Return which schemas and roles may be left of a flow that is gone, and how they are dropped."""
    services = service_names(flow)
    roles = ", ".join(role_name(flow.metadata.name, service) for service in services)
    return (
        f"as its admin, DROP SCHEMA ... CASCADE for {', '.join(map(schema_name, services))}; DROP OWNED BY ... and "
        f"DROP ROLE ... for {roles}"
    )


def _of_now(flow: OrderFlow, objects: Objects) -> set[ObjectKey]:
    jobs = _jobs(flow, objects)
    return jobs & {ObjectKey.of(removaljob.build(flow, service_names(flow)))} if jobs else jobs


def _jobs(flow: OrderFlow, objects: Objects) -> set[ObjectKey]:
    prefix = removaljob.prefix(flow.metadata.name)
    return {one for one in objects if one.kind is JOB and one.name.startswith(prefix)}
