"""The parts of one service, wired, and what runs beside the worker: commands, the relay, housekeeping, HTTP.

`host.py` runs it, alone in its process or beside others, `testing` with a log and a store in memory.
"""

import asyncio
import logging
import os
import socket
import time
from collections import Counter as Tally
from collections.abc import Coroutine, Iterable, Mapping

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from orderflow_contracts.places import is_marked, unreachable_marks
from orderflow_model import environment
from orderflow_model.service_config import PrivacyRole
from orderflow_runtime.backoff import Backoff
from orderflow_runtime.core.event_log import Consumer, LogUnavailable, Producer
from orderflow_runtime.core.isolation import containing_tasks
from orderflow_runtime.core.retryable import Retryable
from orderflow_runtime.core.store import Store
from orderflow_runtime.dispatch.commands import CommandBus, shards_of
from orderflow_runtime.dispatch.effects import Clock, Publisher
from orderflow_runtime.dispatch.execution import HandlerPolicy, handler_table
from orderflow_runtime.dispatch.handovers import Handovers
from orderflow_runtime.dispatch.masking import Masking
from orderflow_runtime.dispatch.outbound_calls import OutboundCalls
from orderflow_runtime.dispatch.outbox_relay import Relay
from orderflow_runtime.dispatch.publications import Publications
from orderflow_runtime.dispatch.retry import RetryPolicy
from orderflow_runtime.dispatch.unsent import Unsent
from orderflow_runtime.ending import Ending
from orderflow_runtime.endpoints import Endpoints, Probes
from orderflow_runtime.http_server import HttpSettings, listen, serve
from orderflow_runtime.observability.database_gauges import DatabaseGauges
from orderflow_runtime.observability.metrics import Metrics
from orderflow_runtime.observability.metrics_page import render
from orderflow_runtime.observability.saga_durations import SagaDurations
from orderflow_runtime.observability.traced_messages import TracedDispatcher, TracedProducer
from orderflow_runtime.observability.traced_requests import TracedApp, traced_calls
from orderflow_runtime.postgres.lock_membership import LockedShards
from orderflow_runtime.service import Service
from orderflow_runtime.settings import MisconfiguredError, Settings, required
from orderflow_runtime.tracing.span_queue import SpanQueue
from orderflow_runtime.tracing.tracer import Tracer
from orderflow_runtime.variables import web_address
from orderflow_runtime.worker.batch_source import BatchSource
from orderflow_runtime.worker.worker import Parts, Worker

logger = logging.getLogger(__name__)

STALLED_AFTER_SECONDS = 120.0
"""Seconds that one batch may take before the service, and with it the process, counts as not alive."""
_HOUSEKEEPING_SECONDS = 10.0
_PACE, _PACE_AT_THE_END = 0.005, 0.05
"""Seconds from batch to batch, at least. Nobody waits for the events of a service that publishes none."""
_ROTATE_SECONDS = 3600.0
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.1, 5.0
"""For Kafka, before commands are taken."""
_LAST_SPANS_SECONDS = 2.0
Part = Coroutine[None, None, None]
"""What runs beside the worker."""


def _collector(settings: Settings) -> SpanQueue | None:
    """Return the way of spans out; None where the service has no collector, and needs not the 13 MiB of its client."""
    endpoint = web_address(settings.env, environment.OTLP_ENDPOINT) or settings.config.tracing.endpoint
    if not endpoint:
        return None
    from orderflow_runtime.tracing.exporter import collector

    return collector(settings.config, endpoint, settings.env)


def _privacy(service: Service, settings: Settings) -> Masking | None:
    """Return what the service sees of people; None where the flow seals nothing. Raise `MisconfiguredError`."""
    config = settings.config
    if config.privacy is None:
        return None
    personal = sorted(event.TYPE for event in service.publishes if is_marked(event))
    if places := [f"{event.TYPE}: {place}" for event in service.publishes for place in unreachable_marks(event)]:
        raise MisconfiguredError(
            f"service {service.name} publishes personal data that cannot be sealed ({', '.join(sorted(places))}): "
            "mark values, not the keys of a dictionary"
        )
    if config.privacy is PrivacyRole.MASKED:
        if personal:
            raise MisconfiguredError(
                f"service {service.name} publishes personal data ({', '.join(personal)}), and is none of the "
                "resource's spec.privacy.readers: name it there"
            )
        return Masking()
    from orderflow_contracts.flow_key import MIN_SECRET, FlowKey
    from orderflow_runtime.dispatch.keyring import Keyring

    secret = required(settings.env, environment.PRIVACY_KEY)
    if len(secret) < MIN_SECRET:
        raise MisconfiguredError(f"{environment.PRIVACY_KEY} has fewer than {MIN_SECRET} letters")
    return Keyring(FlowKey(config.flow, secret))


class Process:
    """One service in a process. `commands` is where its endpoints hand in commands, if it has any."""

    def __init__(
        self, service: Service, settings: Settings, consumer: Consumer, producer: Producer, store: Store, clock: Clock
    ) -> None:
        privacy = _privacy(service, settings)
        config = settings.config
        self._spans = _collector(settings)
        self._tracer = tracer = Tracer(config.flow, config.tracing, self._spans)
        self._service, self._settings, self._consumer, self._store = service, settings, consumer, store
        self._producer = TracedProducer(producer, tracer)
        ends = config.saga.ends if config.saga and service.began else ()
        self._metrics = Metrics(clock.now, ends, config.objectives)
        self._gauges = DatabaseGauges(service.measures, store, self._metrics.registry, self._metrics.measure_faults)
        self._durations = SagaDurations(service.began, config.objectives, store, self._metrics)
        self._topics = tuple(channel.topic for channel in config.subscribes) or (LockedShards.TOPIC,)
        topics = {channel.event: channel.topic for channel in config.publishes}
        self._publisher = Publisher(
            f"/{config.flow}/{service.name}",
            {event: topics[event.TYPE] for event in service.publishes},
            clock,
            tracer,
            {channel.topic: limit for channel in config.publishes if (limit := channel.max_message_bytes)},
            privacy,
        )
        retry = RetryPolicy(config.delivery)
        events = {event.TYPE: event for event in service.handlers}
        pace = _PACE if service.publishes else _PACE_AT_THE_END
        within = {channel.topic: channel.within_ms / 1000 for channel in config.subscribes if channel.within_ms}
        by_topic = {channel.topic: events[channel.event] for channel in config.subscribes}
        self._source = BatchSource(consumer, store, by_topic, pace, within, privacy)
        handlers = handler_table(service)
        policy = HandlerPolicy(service.name, config.dead_letter_topic, handlers, self._publisher, retry, privacy)
        self._worker = Worker(
            Parts(
                consumer=consumer,
                store=store,
                dispatcher=TracedDispatcher(policy, store, tracer, config.group),
                source=self._source,
                outbound_calls=OutboundCalls(
                    traced_calls(service.calls, tracer), store, retry, self._source.wake, self._metrics.called
                ),
                publications=self._publications(),
                handovers=self._handovers(retry),
                metrics=self._metrics,
                instance=settings.env.get(environment.INSTANCE) or f"{socket.gethostname()}-{os.getpid()}",
                topics=self._topics,
                calls_by_commands=bool(service.commands and service.calls),
            )
        )
        self._relay = Relay(self._publications(), store, self._worker.owned)
        self.commands = self._make_intake()

    def _handovers(self, retry: RetryPolicy) -> Handovers | None:
        recipient = self._service.recipient
        return None if recipient is None else Handovers(recipient, self._store, retry, self._metrics.called)

    def _publications(self) -> Publications:
        topic = self._settings.config.dead_letter_topic
        return Publications(self._producer, Unsent(self._store, self._service.name, topic).give_up, topic)

    def registry(self) -> CollectorRegistry:
        """Return the service's metrics as they are now."""
        waiting = Tally(self._worker.refused) + Tally(self._relay.refused)
        self._metrics.refresh(self._worker.lag(), waiting, self._worker.unread)
        return self._metrics.registry

    def probes(self, ending: Ending) -> Probes:
        """Return what is told of the service's health."""
        return Probes(self._alive, lambda: ending.obstacle or self._obstacle(), self._hindrance)

    def _obstacle(self) -> str:
        return self._worker.obstacle or self._relay.obstacle

    def _hindrance(self) -> str:
        return "; ".join(filter(None, (self._worker.hindrance, self._relay.hindrance)))

    async def run(self, http: HttpSettings, ending: Ending, health: Mapping[str, Probes]) -> None:
        """Serve HTTP and work until the end is due, then finish what is under way; what fails first ends all.

        `health` is what is told of all services of the process. Raise `MisconfiguredError` where
        it cannot listen.
        """
        page = None if http.metrics_port else lambda accept: render({self._service.name: self.registry()}, accept)
        listener = listen(http.host, http.port, environment.HTTP_PORT)
        serving = self._serve(Endpoints(health, page), listener, ending, http.keep_alive)
        await self.work(ending, [serving], [self._keep_house()])

    def _serve(self, endpoints: Endpoints, listener: socket.socket, ending: Ending, keep_alive: int) -> Part:
        """Serve the endpoints and the API; without one, the server of APIs and its framework stay out of memory."""
        app = self._make_app()
        if app is None:
            return serve(endpoints, listener, ending, keep_alive)
        from orderflow_runtime import api_server

        return api_server.serve(endpoints, app, listener, ending, keep_alive)

    async def work(self, ending: Ending, serving: Iterable[Part] = (), helping: Iterable[Part] = ()) -> None:
        """Handle events and commands until the end is due and what is `serving` has ended; `helping` runs so long."""
        helpers = [*map(asyncio.create_task, helping)]
        if self.commands is not None:
            helpers += [asyncio.create_task(self._take_commands(self.commands)), asyncio.create_task(self._relay.run())]
        main_tasks = [*map(asyncio.create_task, serving), asyncio.create_task(self._worker.run(ending.due))]
        waking = asyncio.create_task(self._wake_at(ending.due))
        if self._spans is not None:
            self._spans.start()
        try:
            await until_first_failure([*main_tasks, *helpers], main_tasks)
        finally:
            ending.due.set()
            for task in (*helpers, *main_tasks, waking):
                task.cancel()
            await asyncio.gather(*helpers, *main_tasks, waking, return_exceptions=True)
            if self._spans is not None:
                await asyncio.to_thread(self._spans.close, _LAST_SPANS_SECONDS)

    def look(self) -> None:
        """Look now for what is due, and for what is to be tidied up, instead of when the next look is planned."""
        self._source.poll_due_in(0)
        self._source.wake()

    def _alive(self) -> bool:
        return self._worker.stalled_for < STALLED_AFTER_SECONDS

    async def _wake_at(self, due: asyncio.Event) -> None:
        await due.wait()
        self._source.wake()

    def _make_app(self) -> ASGIApp | None:
        if self._service.app is None or self.commands is None:
            return None
        app = containing_tasks(self._service.app(self.commands))  # the server calls it in a task of each request
        return TracedApp(app, self._tracer, self._metrics.ignore)

    def _make_intake(self) -> CommandBus | None:
        if not self._service.commands:
            return None
        return CommandBus(
            self._service.commands,
            self._store,
            self._publisher,
            self._relay.put,
            self._worker.begin_calls,
            self._metrics.publish,
            self._tracer,
            RetryPolicy(self._settings.config.delivery).timeout,
        )

    async def _take_commands(self, intake: CommandBus) -> None:
        """Commit commands as soon as Kafka tells how many partitions, and so shards, the first topic has."""
        backoff = Backoff(_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS)
        while True:
            try:
                shards = shards_of(self._topics[0], await self._consumer.partitions_of(self._topics[0]))
                break
            except LogUnavailable as error:
                logger.warning("waiting for Kafka: %s", error)
                await asyncio.sleep(backoff.next_wait())
        await intake.run(shards)

    async def _keep_house(self) -> None:
        """Forget old events every hour, measure what only the database knows; end where nothing can be published."""
        rotate_at = 0.0
        while True:
            self._relay.check()
            try:
                if time.monotonic() >= rotate_at:
                    await self._store.rotate_inbox(self._settings.config.inbox_days)
                    rotate_at = time.monotonic() + _ROTATE_SECONDS
                await self._durations.settle()
                await self._gauges.take()
            except Retryable as error:
                logger.warning("housekeeping is put off: %s", error)
            await asyncio.sleep(_HOUSEKEEPING_SECONDS)


async def until_first_failure(tasks: list["asyncio.Task[None]"], needed: list["asyncio.Task[None]"]) -> None:
    """Wait until all `needed` are done, or any task has failed; raise its error."""
    pending = set(tasks)
    while not all(task.done() for task in needed):
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
