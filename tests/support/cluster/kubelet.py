"""A double of the kubelet and its nodes: it plays the pods of one namespace and writes their status, as nodes would.

The real controllers make the pods and count them into the status of Deployments and Jobs. By itself the double says
that every pod runs and every Job's pod has succeeded; a test may give a service's pods another fate, or hand over a
`Machine`, and then each pod's command really runs as a process.
"""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from support.cluster.api import Api, Json
from support.cluster.pod_process import MissingReference, PodProcess
from support.cluster.pod_status import Fate, status

SERVICE = "orderflow.dev/service"
_JOB = "batch.kubernetes.io/job-name"
_EVERY = 0.3


@dataclass(frozen=True)
class Machine:
    """Where pods run as processes: a folder, and what the cluster's names `host:port` are on this machine."""

    folder: Path
    network: Mapping[str, str] = field(default_factory=dict)


class Kubelet:
    """Plays the pods of a namespace while `run` runs."""

    def __init__(self, api: Api, namespace: str, machine: Machine | None = None) -> None:
        self._api = api
        self._namespace = namespace
        self._machine = machine
        self._fates: dict[str, tuple[Fate, str]] = {}
        self._plays: dict[str, asyncio.Task[None]] = {}
        self.pods: dict[str, Json] = {}
        self.processes: dict[str, PodProcess] = {}

    async def run(self) -> None:
        """Follow the pods until cancelled; every process ends with it."""
        try:
            async for change, pod in self._api.follow("Pod", self._namespace):
                self._take(change, pod)
                self._raise_errors()
        finally:
            for task in self._plays.values():
                task.cancel()
            await asyncio.gather(*self._plays.values(), return_exceptions=True)
            await asyncio.gather(*(asyncio.to_thread(process.stop) for process in self.processes.values()))

    async def decide(self, whose: str, fate: Fate, said: str = "") -> None:
        """Let the pods of a service, Job or component (by its name) fare so, those that are there and those to come."""
        self._fates[whose] = (fate, said)
        for name, pod in list(self.pods.items()):
            if whose in (owner(pod), _component(pod)):
                self._start(name, pod)

    def intend(self, whose: str, fate: Fate) -> None:
        """Let the pods to come of a service (or of its migration job, `SERVICE/migration`) fare so; others stay."""
        self._fates[whose] = (fate, "")

    def forget(self, whose: str) -> None:
        """Let the pods to come fare as they do by themselves."""
        self._fates.pop(whose, None)

    def address(self, service: str) -> str:
        """Give the address of a ready pod's process."""
        return next(process.address for process in self.processes.values() if owner(process.pod) == service)

    def _take(self, change: str, pod: Json) -> None:
        name = pod["metadata"]["uid"]
        if change == "DELETED" or "deletionTimestamp" in pod["metadata"]:
            self.pods.pop(name, None)
            if task := self._plays.pop(name, None):
                task.cancel()
        elif name not in self.pods:
            self._start(name, pod)

    def _start(self, name: str, pod: Json) -> None:
        self.pods[name] = pod
        if before := self._plays.pop(name, None):
            before.cancel()
        self._plays[name] = asyncio.create_task(self._play(name, pod))

    def _raise_errors(self) -> None:
        for task in self._plays.values():
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error

    async def _play(self, name: str, pod: Json) -> None:
        fate, said = self._fates.get(owner(pod)) or self._fates.get(_component(pod), (None, ""))
        if fate is None and self._machine is not None:
            await self._run_process(name, pod, self._machine)
            return
        fate = fate or (Fate.SUCCEEDED if _is_of_job(pod) else Fate.READY)
        await self._api.set_status(pod, status(pod, fate, said=said))

    async def _run_process(self, name: str, pod: Json, machine: Machine) -> None:
        address = f"127.{random.randint(1, 250)}.{random.randint(1, 250)}.{random.randint(1, 250)}"
        folder = machine.folder / pod["metadata"]["name"]
        process = PodProcess(self._api, pod, folder, address, machine.network)
        self.processes[name] = process
        try:
            await self._prepare(process)
            process.start()
            await self._observe(process)
        finally:
            await asyncio.shield(asyncio.to_thread(process.stop))
            self.processes.pop(name, None)

    async def _prepare(self, process: PodProcess) -> None:
        while True:
            try:
                return await process.prepare()
            except MissingReference as missing:
                await self._say(process, Fate.CONFIG_MISSING, str(missing))
                await asyncio.sleep(_EVERY)

    async def _observe(self, process: PodProcess) -> None:
        """Write what the process does until a Job's has ended; a service's is started again."""
        said, restarts = Fate.STARTING, 0
        async with aiohttp.ClientSession() as http:
            while True:
                fate = await _fate(http, process)
                if fate is not said:
                    await self._say(process, fate, process.last_line, restarts)
                    said = fate
                if fate in (Fate.SUCCEEDED, Fate.FAILED):
                    return
                if fate is Fate.CRASH_LOOP:
                    restarts += 1
                    await asyncio.sleep(min(2**restarts, 10))
                    process.start()
                await asyncio.sleep(_EVERY)

    async def _say(self, process: PodProcess, fate: Fate, said: str, restarts: int = 0) -> None:
        await self._api.set_status(process.pod, status(process.pod, fate, process.address, said[-2000:], restarts))


def owner(pod: Json) -> str:
    """Give the name by which a test speaks of a pod: its service's, `SERVICE/migration`, or its Job's."""
    labels = pod["metadata"].get("labels", {})
    if labels.get("app.kubernetes.io/component") == "migration":
        return f"{labels['app.kubernetes.io/name']}/migration"
    return str(labels.get(_JOB) or labels.get(SERVICE, ""))


def _component(pod: Json) -> str:
    return str(pod["metadata"].get("labels", {}).get("app.kubernetes.io/component", ""))


def _is_of_job(pod: Json) -> bool:
    return _JOB in pod["metadata"].get("labels", {})


async def _fate(http: aiohttp.ClientSession, process: PodProcess) -> Fate:
    if process.exit_code is not None:
        if not _is_of_job(process.pod):
            return Fate.CRASH_LOOP
        return Fate.FAILED if process.exit_code else Fate.SUCCEEDED
    if process.readiness_url is None:
        return Fate.READY
    try:
        async with http.get(process.readiness_url, timeout=aiohttp.ClientTimeout(2)) as answer:
            return Fate.READY if answer.status == 200 else Fate.STARTING
    except (aiohttp.ClientError, TimeoutError):
        return Fate.STARTING
