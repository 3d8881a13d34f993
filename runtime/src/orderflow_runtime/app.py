"""The composition root of every service process: `main(build)` reads the environment, builds the parts, runs them."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn

import uvloop
from starlette.types import ASGIApp

from orderflow_contracts.event import Event
from orderflow_model import environment
from orderflow_model.names import schema_name
from orderflow_model.postgres_uri import InvalidUri
from orderflow_model.service_config import Channel, ServiceConfig
from orderflow_runtime.core.event_log import Log, LogRefuses, LogUnavailable
from orderflow_runtime.core.store import Conflict, Store, StoreRefuses, StoreUnavailable
from orderflow_runtime.dispatch.commands import GroupIntake
from orderflow_runtime.dispatch.effects import Clock, Publisher
from orderflow_runtime.dispatch.execution import Rules, handler_table
from orderflow_runtime.dispatch.outbound_calls import Caller
from orderflow_runtime.dispatch.outbox_relay import Relay
from orderflow_runtime.dispatch.publications import Publications
from orderflow_runtime.dispatch.retry import RetryPolicy
from orderflow_runtime.dispatch.unsent import Unsent
from orderflow_runtime.ending import Ending
from orderflow_runtime.http_server import HttpSettings, Probes, health_app, listen, metrics_app, serve
from orderflow_runtime.kafka.kafka_log import KafkaLog, KafkaSettings
from orderflow_runtime.observability import logs
from orderflow_runtime.observability.database_gauges import Measures
from orderflow_runtime.observability.metrics import Metrics
from orderflow_runtime.observability.saga_durations import Runs
from orderflow_runtime.observability.traced_messages import TracedDispatcher, TracedLog
from orderflow_runtime.observability.traced_requests import TracedApp, traced_calls
from orderflow_runtime.postgres.lock_membership import LockedShards
from orderflow_runtime.postgres.postgres_store import PostgresStore
from orderflow_runtime.service import Service
from orderflow_runtime.settings import Misconfigured, Settings, required
from orderflow_runtime.tracing.span_queue import Spans
from orderflow_runtime.tracing.tracer import Tracer
from orderflow_runtime.worker.batch_source import Gatherer
from orderflow_runtime.worker.worker import Parts, Worker

logger = logging.getLogger(__name__)

EX_NOPERM, EX_CONFIG = 77, 78
STALLED_AFTER = 120.0
"""Seconds that one batch may take before the process counts as not alive."""
_HOUSEKEEPING_SECONDS = 10.0
_PACE, _PACE_AT_THE_END = 0.005, 0.05
"""Seconds from batch to batch, at least. Nobody waits for the events of a service that publishes none."""
_ROTATE_SECONDS = 3600.0
_CLOSE_SECONDS = 5.0
_LAST_SPANS_SECONDS = 2.0


def main(build: Callable[[Settings], Service]) -> None:
    """Run a service until SIGTERM or SIGINT. The last line that it writes says why it ends: the pod's last words.

    Args:
        build: Makes the service of its settings, once. It may raise `Misconfigured`.

    Raises:
        SystemExit: With 78 when it is configured wrongly, with 77 when Kafka or Postgres has not let it in for 30 s.

    Example:
        >>> def build(settings: Settings) -> Service:
        ...     return loyalty
        >>> if __name__ == "__main__":
        ...     main(build)
    """
    try:
        settings = Settings.read(os.environ)
        service = build(settings)
        check_matrix(service, settings.config)
        logs.set_up(settings.config.flow, service.name, _level(settings))
        store = _store(service)
        log: Log = KafkaLog(kafka_settings(settings))
        if not settings.config.subscribes:
            log = LockedShards(log, store)
        _spare_collector()
        uvloop.run(_run_and_close(service, settings, log, store))
    except Misconfigured as error:
        _end(error, EX_CONFIG)
    except (LogRefuses, StoreRefuses) as error:
        _end(error, EX_NOPERM)


def kafka_settings(settings: Settings) -> KafkaSettings:
    """Return how to reach Kafka; raise `Misconfigured` where that is not said."""
    env = settings.env
    return KafkaSettings(
        bootstrap=required(env, environment.KAFKA_BOOTSTRAP),
        group=settings.config.group,
        topics=tuple(channel.topic for channel in settings.config.subscribes),
        security_protocol=env.get(environment.KAFKA_SECURITY_PROTOCOL, "PLAINTEXT"),
        sasl_mechanism=env.get(environment.KAFKA_SASL_MECHANISM, "SCRAM-SHA-512"),
        username=env.get(environment.KAFKA_USERNAME),
        password=env.get(environment.KAFKA_PASSWORD),
        ca_file=env.get(environment.KAFKA_CA_FILE),
        instance=env.get(environment.INSTANCE),
    )


def http_settings(settings: Settings) -> HttpSettings:
    """Return how to listen; raise `Misconfigured` where a number is none."""
    env = settings.env
    return HttpSettings(
        host=env.get(environment.HTTP_HOST, environment.DEFAULT_HTTP_HOST),
        port=_whole(env, environment.HTTP_PORT, environment.DEFAULT_HTTP_PORT, 65_535),
        metrics_port=_whole(env, environment.METRICS_PORT, 0, 65_535) or None,
        keep_alive=_whole(env, environment.HTTP_KEEP_ALIVE, environment.DEFAULT_HTTP_KEEP_ALIVE, 86_400),
        drain=_whole(env, environment.HTTP_DRAIN, environment.DEFAULT_HTTP_DRAIN, 3_600),
    )


def _whole(env: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = env.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= most):
        raise Misconfigured(f"{name}={text} is not a whole number up to {most}")
    return int(text)


def _end(error: Exception, code: int) -> NoReturn:
    print(f"orderflow: {error}", file=sys.stderr)
    sys.exit(code)


def _store(service: Service) -> PostgresStore:
    try:
        return PostgresStore(required(os.environ, environment.DATABASE_URL), schema_name(service.name))
    except InvalidUri as error:
        raise Misconfigured(f"{environment.DATABASE_URL}: {error}") from None


def _level(settings: Settings) -> str:
    return settings.env.get(environment.LOG_LEVEL, "INFO")


def _spare_collector() -> None:
    """Keep garbage collection off the hot path: a batch makes tens of thousands of objects and hardly a cycle, and what
    is imported by now stays for ever.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def check_matrix(service: Service, config: ServiceConfig) -> None:
    """Refuse to run when what the code handles and publishes is not what the resource declares."""
    _compare(service, "handles", service.handlers, "subscribes", config.subscribes)
    _compare(service, "publishes", service.publishes, "publishes", config.publishes)


def _compare(
    service: Service,
    does: str,
    events: Mapping[type[Event], object] | frozenset[type[Event]],
    says: str,
    channels: tuple[Channel, ...],
) -> None:
    code, resource = {event.TYPE for event in events}, {channel.event for channel in channels}
    if code != resource:
        raise Misconfigured(
            f"service {service.name}: its code {does} {sorted(code - resource) or 'nothing more'} that the resource's "
            f"{says} lacks, and the resource lists {sorted(resource - code) or 'nothing more'} that its code lacks"
        )


async def _run_and_close(service: Service, settings: Settings, log: Log, store: PostgresStore) -> None:
    try:
        await run(service, settings, log, store, Clock())
    finally:
        await store.stop()


async def run(service: Service, settings: Settings, log: Log, store: Store, clock: Clock) -> None:
    """Run the parts of one service process until it is told to stop; the first part that fails ends all."""
    http = http_settings(settings)
    ending = Ending(http.drain)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.ask)
    loop.add_signal_handler(signal.SIGUSR1, logs.switch, _level(settings))
    process = _Process(service, settings, log, store, clock)
    try:
        await process.run(http, ending)
    finally:
        await _close(log.stop)
        if service.close is not None:
            await _close(service.close)


async def _close(stop: Callable[[], Awaitable[None]]) -> None:
    """Close, but no longer than a stop may take: a client whose broker is away waits for its answers."""
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await stop()
    except TimeoutError:
        logger.warning("not closed in %.0f s; the end of the process will", _CLOSE_SECONDS)


def _collector(settings: Settings) -> Spans | None:
    """Give the way of spans out; None where the service has no collector, and needs not the 13 MiB of its client."""
    endpoint = settings.env.get(environment.OTLP_ENDPOINT) or settings.config.tracing.endpoint
    if not endpoint:
        return None
    from orderflow_runtime.tracing.exporter import collector

    return collector(settings.config, endpoint, settings.env)


class _Process:
    """The parts of one service process, wired."""

    def __init__(self, service: Service, settings: Settings, log: Log, store: Store, clock: Clock) -> None:
        config = settings.config
        self._spans = _collector(settings)
        self._tracer = tracer = Tracer(config.flow, config.tracing, self._spans)
        log = TracedLog(log, tracer)
        self._service, self._settings, self._log, self._store = service, settings, log, store
        ends = config.saga.ends if config.saga and service.began else ()
        self._metrics = Metrics(clock.now, ends, config.objectives)
        self._measures = Measures(service.measures, store, self._metrics.registry)
        self._runs = Runs(service.began, config.objectives, store, self._metrics)
        self._topics = tuple(channel.topic for channel in config.subscribes) or (LockedShards.TOPIC,)
        topics = {channel.event: channel.topic for channel in config.publishes}
        self._publisher = Publisher(
            f"/{config.flow}/{service.name}",
            {event: topics[event.TYPE] for event in service.publishes},
            clock,
            tracer,
            {channel.topic: limit for channel in config.publishes if (limit := channel.max_message_bytes)},
        )
        retry = RetryPolicy(config.delivery)
        events = {event.TYPE: event for event in service.handlers}
        pace = _PACE if service.publishes else _PACE_AT_THE_END
        self._gatherer = Gatherer(log, store, {c.topic: events[c.event] for c in config.subscribes}, pace)
        rules = Rules(service.name, config.dead_letter_topic, handler_table(service), self._publisher, retry)
        self._worker = Worker(
            Parts(
                log=log,
                store=store,
                dispatcher=TracedDispatcher(rules, store, tracer, config.group),
                gatherer=self._gatherer,
                caller=Caller(
                    traced_calls(service.calls, tracer), store, retry, self._gatherer.wake, self._metrics.called
                ),
                publications=self._publications(),
                metrics=self._metrics,
                instance=settings.env.get(environment.INSTANCE, f"{socket.gethostname()}-{os.getpid()}"),
                topics=self._topics,
            )
        )
        self._relay = Relay(self._publications(), store, self._worker.owned)

    def _publications(self) -> Publications:
        letters = self._settings.config.dead_letter_topic
        return Publications(self._log, Unsent(self._store, self._service.name, letters).give_up, letters)

    def _render(self, accept: str) -> tuple[bytes, str]:
        waiting = Tally(self._worker.refused) + Tally(self._relay.refused)
        return self._metrics.render(accept, self._worker.lag(), waiting, self._worker.unread)

    def _obstacle(self) -> str:
        return self._worker.obstacle or self._relay.obstacle

    def _hindrance(self) -> str:
        return "; ".join(filter(None, (self._worker.hindrance, self._relay.hindrance)))

    async def run(self, http: HttpSettings, ending: Ending) -> None:
        """Serve and work; when the end is due, finish what is under way."""
        intake = self._make_intake()
        probes = Probes(self._alive, lambda: ending.obstacle or self._obstacle(), self._hindrance, self._render)
        api = health_app(probes, self._make_app(intake), metrics=not http.metrics_port)
        served = [(listen(http.host, http.port), api)]
        if http.metrics_port:
            served.append((listen(http.host, http.metrics_port), metrics_app(probes)))
        helpers = [asyncio.create_task(self._keep_house())]
        if intake is not None:
            helpers += [asyncio.create_task(self._take_commands(intake)), asyncio.create_task(self._relay.run())]
        main_tasks = [
            *(asyncio.create_task(serve(app, listener, ending, http.keep_alive)) for listener, app in served),
            asyncio.create_task(self._worker.run(ending.due)),
        ]
        waking = asyncio.create_task(self._wake_at(ending.due))
        if self._spans is not None:
            self._spans.start()
        try:
            await _until_first_failure([*main_tasks, *helpers], main_tasks)
        finally:
            ending.due.set()
            for task in (*helpers, *main_tasks, waking):
                task.cancel()
            await asyncio.gather(*helpers, *main_tasks, waking, return_exceptions=True)
            if self._spans is not None:
                await asyncio.to_thread(self._spans.close, _LAST_SPANS_SECONDS)

    def _alive(self) -> bool:
        return self._worker.stalled_for < STALLED_AFTER

    async def _wake_at(self, due: asyncio.Event) -> None:
        await due.wait()
        self._gatherer.wake()

    def _make_app(self, intake: GroupIntake | None) -> ASGIApp | None:
        if self._service.app is None or intake is None:
            return None
        return TracedApp(self._service.app(intake), self._tracer, self._metrics.ignore)

    def _make_intake(self) -> GroupIntake | None:
        if not self._service.commands:
            return None
        return GroupIntake(
            self._service.commands,
            self._store,
            self._publisher,
            self._topics[0],
            0,
            self._relay.wake,
            self._metrics.publish,
            self._tracer,
        )

    async def _take_commands(self, intake: GroupIntake) -> None:
        """Commit commands as soon as Kafka tells how many partitions, and so shards, the first topic has."""
        while not intake.shards:
            try:
                intake.shards = await self._log.partitions_of(self._topics[0])
            except LogUnavailable as error:
                logger.warning("waiting for Kafka: %s", error)
                await asyncio.sleep(1)
        await intake.run()

    async def _keep_house(self) -> None:
        """Forget old events every hour, measure what only the database knows; end where nothing can be published."""
        rotate_at = 0.0
        while True:
            self._relay.check()
            try:
                if time.monotonic() >= rotate_at:
                    await self._store.rotate_inbox(self._settings.config.inbox_days)
                    rotate_at = time.monotonic() + _ROTATE_SECONDS
                await self._runs.settle()
                await self._measures.take()
            except (StoreUnavailable, Conflict) as error:
                logger.warning("housekeeping is put off: %s", error)
            await asyncio.sleep(_HOUSEKEEPING_SECONDS)


async def _until_first_failure(tasks: list["asyncio.Task[None]"], needed: list["asyncio.Task[None]"]) -> None:
    """Wait until all `needed` are done, or any task has failed; raise its error."""
    pending = set(tasks)
    while not all(task.done() for task in needed):
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
