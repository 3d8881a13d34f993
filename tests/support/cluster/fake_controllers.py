"""A double of all that makes a flow's objects ready, for the operator's bench: controllers, nodes and Strimzi at once.

It says of every Job, Deployment, KafkaTopic and KafkaUser of a namespace that it is done, as soon as it is there, and
makes the Secret of a user.
"""

import asyncio
from datetime import UTC, datetime

from orderflow_model.timestamps import write_time
from support.cluster.api import Api, Json


async def say_ready(api: Api, item: Json) -> None:
    """Say of one object that it is done, if its kind is one of which somebody says so."""
    if item["kind"] == "KafkaUser":
        await api.apply(_password(item), item["metadata"]["namespace"])
    if item["kind"] in _DONE:
        await api.set_status(item, _DONE[item["kind"]](item))


async def make_ready(api: Api, namespace: str) -> None:
    """Follow the objects until cancelled."""
    await asyncio.gather(*(_follow(api, namespace, kind) for kind in _DONE))


async def _follow(api: Api, namespace: str, kind: str) -> None:
    slots = asyncio.Semaphore(4)
    tasks: set[asyncio.Task[None]] = set()

    async def finish(item: Json) -> None:
        async with slots:
            await say_ready(api, item)

    async for change, item in api.follow(kind, namespace):
        if change != "DELETED" and not _is_done(item):
            task = asyncio.create_task(finish(item))
            tasks.add(task)
            task.add_done_callback(tasks.discard)


def _is_done(item: Json) -> bool:
    status = item.get("status", {})
    if item["kind"] == "Job":
        return bool(status.get("succeeded"))
    return bool(status.get("observedGeneration") == item["metadata"]["generation"])


def _job(item: Json) -> Json:
    kinds = ("SuccessCriteriaMet", "Complete")
    conditions = [{"type": kind, "status": "True", "lastTransitionTime": _now()} for kind in kinds]
    return {"succeeded": 1, "startTime": _now(), "completionTime": _now(), "conditions": conditions}


def _deployment(item: Json) -> Json:
    pods = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
    return pods | {"observedGeneration": item["metadata"]["generation"]}


def _custom(item: Json) -> Json:
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": _now()}
    return {"conditions": [condition], "observedGeneration": item["metadata"]["generation"]}


def _password(user: Json) -> Json:
    """Give the Secret that Strimzi makes of a user."""
    owner = {"apiVersion": user["apiVersion"], "kind": user["kind"]}
    owner |= {key: user["metadata"][key] for key in ("name", "uid")}
    metadata = {"name": user["metadata"]["name"], "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"password": "drawn"}}


_DONE = {"Job": _job, "Deployment": _deployment, "KafkaTopic": _custom, "KafkaUser": _custom}


def _now() -> str:
    return write_time(datetime.now(UTC))
