"""The operator as a process: `python -m orderflow_operator`. The one place where its parts are put together.

KUBECONFIG names the cluster; without it the pod's own account is used.
"""

import argparse
import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import kopf

from orderflow_model.flow import GROUP
from orderflow_operator import admission, handlers, logs
from orderflow_operator.api import Api, ApiError
from orderflow_operator.claims import Claims
from orderflow_operator.cluster import Cluster
from orderflow_operator.credentials import Credentials
from orderflow_operator.endpoints import serving
from orderflow_operator.kafka_admin import KafkaAdmin
from orderflow_operator.kinds import KINDS
from orderflow_operator.metrics import FLOWS, OBJECTS, QUEUE
from orderflow_operator.monitoring.settings import RUNBOOKS, Monitoring
from orderflow_operator.provisioning import Provisioning
from orderflow_operator.queue import Queue
from orderflow_operator.reconcile import reconcile
from orderflow_operator.resources.metadata import Object
from orderflow_operator.store import FlowKey, Store
from orderflow_operator.surroundings import ROLLOUT_DEADLINE
from orderflow_operator.turn import Parts
from orderflow_operator.verdict import Verdict, judge, made_at
from orderflow_operator.watch import Watch

logger = logging.getLogger(__name__)

STALLED_SECONDS = 300.0
_RESTART_SECONDS = 2.0
_SWEEP_SECONDS = 30.0


@dataclass(frozen=True)
class Options:
    """What the command line says. No namespaces: all of them."""

    namespaces: tuple[str, ...]
    http_port: int
    rollout_deadline: int
    webhook_port: int | None
    webhook_certificates: Path
    webhook_host: str | None
    webhook_configuration: str | None
    monitoring: Monitoring
    log_level: str


def main() -> None:
    """Run the operator until it is told to stop."""
    options = parse(None)
    logs.set_up(options.log_level)
    asyncio.run(run(options))


def parse(arguments: Sequence[str] | None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="orderflow-operator", description="Keeps OrderFlows true.")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--namespace", action="append", default=[], help="watch this namespace; may be repeated")
    where.add_argument("--all-namespaces", action="store_true", help="watch all namespaces; the default")
    parser.add_argument("--http-port", type=int, default=8081, help="port of /livez, /readyz and /metrics")
    parser.add_argument(
        "--rollout-deadline", type=int, default=ROLLOUT_DEADLINE, help="seconds in which a service's pods get ready"
    )
    parser.add_argument("--webhook-port", type=int, help="serve the validating webhook there")
    parser.add_argument(
        "--webhook-certificates", type=Path, default=Path("/etc/orderflow-webhook"), help="tls.crt, tls.key and ca.crt"
    )
    parser.add_argument("--webhook-host", help="name under which the API server reaches the webhook")
    parser.add_argument("--webhook-configuration", help="keep the webhook configuration of this name up to date")
    parser.add_argument("--runbooks", default=RUNBOOKS, help="address of the folder of the alerts' runbooks")
    parser.add_argument(
        "--monitoring-label",
        action="append",
        default=[],
        type=_label,
        metavar="NAME=VALUE",
        help="label on PodMonitors and PrometheusRules, by which your Prometheus finds them; may be repeated",
    )
    parser.add_argument("--log-level", default="INFO")
    given = parser.parse_args(arguments)
    return Options(
        namespaces=tuple(given.namespace),
        http_port=given.http_port,
        rollout_deadline=given.rollout_deadline,
        webhook_port=given.webhook_port,
        webhook_certificates=given.webhook_certificates,
        webhook_host=given.webhook_host,
        webhook_configuration=given.webhook_configuration,
        monitoring=Monitoring(given.runbooks, dict(given.monitoring_label)),
        log_level=given.log_level,
    )


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals) or name.startswith((GROUP, "app.kubernetes.io/")):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=VALUE, with a name that the operator does not set itself"
        )
    return name, value


async def run(options: Options) -> None:
    """Put the parts together and run them; the first that fails ends all, and the process is started anew."""
    async with Api() as api:
        queue = Queue(lambda key: reconcile(key, parts))
        store = Store(queue.add)
        scopes = options.namespaces or (None,)
        watches = [Watch(api, store, kind, namespace) for namespace in scopes for kind in KINDS]
        cluster = Cluster(api, store, watches)
        parts = _parts(cluster, queue, options)
        QUEUE.set_function(queue.waiting)
        FLOWS.set_function(lambda: len(parts.claims))
        OBJECTS.set_function(lambda: len(store))
        started = asyncio.Event()
        async with (
            serving(options.http_port, lambda: queue.stalled_for() < STALLED_SECONDS, started.is_set),
            asyncio.TaskGroup() as group,
        ):
            tasks = [group.create_task(watch.run()) for watch in watches]
            await cluster.listed()
            await _claim(cluster, parts.claims, scopes)
            tasks.append(group.create_task(queue.run()))
            tasks.append(group.create_task(_sweep(cluster, queue, scopes)))
            started.set()
            await _operate(options, queue, parts)
            for task in tasks:
                task.cancel()


def _parts(cluster: Cluster, queue: Queue, options: Options) -> Parts:
    credentials = Credentials(cluster, time.monotonic)
    return Parts(
        cluster=cluster,
        claims=Claims(),
        credentials=credentials,
        provisioning=Provisioning(cluster, credentials, KafkaAdmin()),
        wake=queue.add,
        now=lambda: datetime.now(UTC),
        rollout_deadline=options.rollout_deadline,
        monitoring=options.monitoring,
    )


async def _claim(cluster: Cluster, claims: Claims, scopes: Sequence[str | None]) -> None:
    """Know who has which topics before anyone asks: flows come one by one, and not by age."""
    for namespace in scopes:
        async for raw in cluster.flows(namespace):
            verdict = judge(raw, Claims(), {})
            if verdict.flow is not None and verdict.valid:
                claims.put(_key(raw), verdict.flow, made_at(raw))


async def _sweep(cluster: Cluster, queue: Queue, scopes: Sequence[str | None]) -> None:
    """Give a turn to flows that nobody told of: kopf can miss one that is made while it learns that the CRD is back."""
    while True:
        await asyncio.sleep(_SWEEP_SECONDS)
        try:
            for namespace in scopes:
                async for key in cluster.unobserved(namespace):
                    queue.add(key)
        except ApiError as error:
            logger.info("flows are looked through later: %s", error)


async def _operate(options: Options, queue: Queue, parts: Parts) -> None:
    """Run kopf until it is told to stop; it ends by itself when the CRD goes, and begins again by waiting for it."""
    while True:
        registry, settings = kopf.OperatorRegistry(), kopf.OperatorSettings()
        handlers.register(registry, queue)
        if options.webhook_port is not None:
            admission.register(registry, lambda raw: _judge(raw, parts))
            _serve_webhook(settings, options)
        try:
            return await kopf.operator(
                registry=registry,
                settings=settings,
                standalone=True,
                clusterwide=not options.namespaces,
                namespaces=options.namespaces,
            )
        except Exception as error:
            logger.warning("kopf ended, it is started again: %r", error)
            await asyncio.sleep(_RESTART_SECONDS)


def _serve_webhook(settings: kopf.OperatorSettings, options: Options) -> None:
    folder = options.webhook_certificates
    settings.admission.managed = options.webhook_configuration
    settings.admission.server = kopf.WebhookServer(
        port=options.webhook_port,
        addr="",
        host=options.webhook_host,
        certfile=folder / "tls.crt",
        pkeyfile=folder / "tls.key",
        cafile=folder / "ca.crt",
    )


def _judge(raw: Object, parts: Parts) -> Verdict:
    return judge(raw, parts.claims, parts.cluster.objects(_key(raw)))


def _key(raw: Object) -> FlowKey:
    return FlowKey(raw["metadata"].get("namespace", ""), raw["metadata"]["name"])


if __name__ == "__main__":
    main()
