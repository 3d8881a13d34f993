"""The operator's parts put together, and run until kopf ends. `__main__` begins one manager after another.

kopf brings events of flows and the webhook, `reflector.py` what belongs to flows; both only fill the queue, whose
workers reconcile.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import kopf

from orderflow_operator.entrypoints import admission, flow_events
from orderflow_operator.entrypoints.probes import serving
from orderflow_operator.kafka.admin import KafkaAdmin
from orderflow_operator.kubernetes.cache import ObjectCache
from orderflow_operator.kubernetes.client import USER_AGENT, Api, ApiError
from orderflow_operator.kubernetes.kinds import KINDS
from orderflow_operator.kubernetes.labels import Object
from orderflow_operator.kubernetes.objects import ObjectClient
from orderflow_operator.kubernetes.reflector import Reflector
from orderflow_operator.metrics import FLOWS, OBJECTS, QUEUE
from orderflow_operator.options import Options
from orderflow_operator.reconciler.context import Dependencies
from orderflow_operator.reconciler.credentials import Credentials
from orderflow_operator.reconciler.kafka_provisioner import Provisioning
from orderflow_operator.reconciler.ownership import OwnershipIndex
from orderflow_operator.reconciler.reconcile import reconcile
from orderflow_operator.reconciler.validation import Validation, key_of, made_at, validate
from orderflow_operator.reconciler.workqueue import PROGRESS_SECONDS, Queue

logger = logging.getLogger(__name__)

STALLED_SECONDS = 300.0
_SWEEP_SECONDS = 30.0


class Manager:
    """All parts, from a first look at the cluster until kopf ends. Nothing is carried over to the next manager."""

    def __init__(self, api: Api, options: Options) -> None:
        self._options = options
        self._scopes: Sequence[str | None] = options.namespaces or (None,)
        self._queue = Queue(lambda key: reconcile(key, self._deps))
        cache = ObjectCache(self._queue.add, lambda key: self._queue.add(key, PROGRESS_SECONDS))
        self._reflectors = [Reflector(api, cache, kind, namespace) for namespace in self._scopes for kind in KINDS]
        self._cluster = ObjectClient(api, cache, self._reflectors)
        credentials = Credentials(self._cluster, time.monotonic)
        self._deps = Dependencies(
            cluster=self._cluster,
            ownership=OwnershipIndex(),
            credentials=credentials,
            provisioning=Provisioning(self._cluster, credentials, KafkaAdmin(), time.monotonic),
            wake=self._queue.add,
            now=lambda: datetime.now(UTC),
            started=datetime.now(UTC),
            rollout_deadline=options.rollout_deadline,
            monitoring=options.monitoring,
            network=options.network,
        )
        self._started = asyncio.Event()
        QUEUE.set_function(self._queue.waiting)
        FLOWS.set_function(lambda: len(self._deps.ownership))
        OBJECTS.set_function(lambda: len(cache))

    async def run(self) -> Exception | None:
        """Work until kopf ends; return why it did, None when it was told to. Raise whatever else fails."""
        async with asyncio.TaskGroup() as group:
            work = group.create_task(self._work())
            await self._started.wait()
            try:
                await self._operate(work)
            except Exception as error:
                return error
            finally:
                work.cancel()
        return None

    async def _work(self) -> None:
        """Watch, reconcile and answer until cancelled."""
        async with (
            serving(self._options.http_port, self._alive, self._started.is_set),
            asyncio.TaskGroup() as group,
        ):
            for reflector in self._reflectors:
                group.create_task(reflector.run())
            await self._cluster.listed()
            await self._claim()
            group.create_task(self._queue.run())
            group.create_task(self._sweep())
            self._started.set()

    def _alive(self) -> bool:
        return self._queue.stalled_for() < STALLED_SECONDS

    async def _claim(self) -> None:
        """Know who has which topics before anyone asks: flows come one by one, and not by age."""
        for namespace in self._scopes:
            async for raw in self._cluster.flows(namespace):
                if flow := validate(raw, OwnershipIndex(), {}).claimant:
                    self._deps.ownership.put(key_of(raw), flow, made_at(raw), raw.get("status"))

    async def _sweep(self) -> None:
        """Give a turn to flows that nobody told of: kopf can miss one that is made as the CRD comes back."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                for namespace in self._scopes:
                    async for key in self._cluster.unobserved(namespace):
                        self._queue.add(key)
            except ApiError as error:
                logger.info("flows are looked through later: %s", error)

    async def _operate(self, work: asyncio.Task[None]) -> None:
        """Run kopf until it is told to stop.

        It takes every task that is there when it stops for one of its own that hangs, and waits for it: ours end first.
        """
        registry, settings = kopf.OperatorRegistry(), kopf.OperatorSettings()
        flow_events.register(registry, self._queue)

        @kopf.on.cleanup(registry=registry)
        async def end_work(**_: Any) -> None:
            work.cancel()
            await asyncio.wait([work])

        if self._options.webhook_port is not None:
            admission.register(registry, self._validate)
            _serve_webhook(settings, self._options)
        await kopf.operator(
            registry=registry,
            settings=settings,
            # else it asks for the user's name, which an image does not have
            identity=USER_AGENT,  # type: ignore[arg-type]  # a string whose name kopf keeps to itself
            standalone=True,
            clusterwide=not self._options.namespaces,
            namespaces=self._options.namespaces,
        )

    def _validate(self, raw: Object) -> Validation:
        return validate(raw, self._deps.ownership, self._cluster.objects(key_of(raw)))


def _serve_webhook(settings: kopf.OperatorSettings, options: Options) -> None:
    folder = options.webhook_certificates
    settings.admission.server = kopf.WebhookServer(
        port=options.webhook_port,
        addr="",
        certfile=folder / "tls.crt",
        pkeyfile=folder / "tls.key",
    )
