"""The composition root of every service process: `main(build)` reads the environment and runs a `Process` with it."""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn

import uvloop

from orderflow_contracts.event import Event
from orderflow_model import environment
from orderflow_model.names import schema_name
from orderflow_model.postgres_uri import InvalidUriError
from orderflow_model.service_config import Channel, ServiceConfig
from orderflow_runtime.core.event_log import Consumer, LogRefuses, Producer
from orderflow_runtime.core.isolation import run_isolated
from orderflow_runtime.core.store import Store, StoreRefuses
from orderflow_runtime.dispatch.effects import Clock
from orderflow_runtime.ending import Ending
from orderflow_runtime.http_server import HttpSettings
from orderflow_runtime.kafka.kafka_log import KafkaLog, KafkaSettings
from orderflow_runtime.observability import logs
from orderflow_runtime.postgres.lock_membership import LockedShards
from orderflow_runtime.postgres.postgres_store import PostgresStore
from orderflow_runtime.process import Process
from orderflow_runtime.service import Service
from orderflow_runtime.settings import MisconfiguredError, Settings, required

logger = logging.getLogger(__name__)

EX_NOPERM, EX_CONFIG = 77, 78
_CLOSE_SECONDS = 5.0


def main(build: Callable[[Settings], Service]) -> None:
    """Run a service until SIGTERM or SIGINT. The last line that it writes says why it ends: the pod's last words.

    Args:
        build: Makes the service of its settings, once. It may raise `MisconfiguredError`.

    Raises:
        SystemExit: With 78 when it is configured wrongly, with 77 when Kafka or Postgres has not let it in for 30 s.

    Example:
        >>> def build(settings: Settings) -> Service:
        ...     return rewards
        >>> if __name__ == "__main__":
        ...     main(build)
    """
    try:
        settings = Settings.read(os.environ)
        service = build(settings)
        check_matrix(service, settings.config)
        logs.set_up(settings.config.flow, service.name, _level(settings))
        store = _store(service)
        log = KafkaLog(kafka_settings(settings))
        consumer = log if settings.config.subscribes else LockedShards(log, store)
        _spare_collector()
        uvloop.run(_run_and_close(service, settings, consumer, log, store))
    except MisconfiguredError as error:
        _end(error, EX_CONFIG)
    except (LogRefuses, StoreRefuses) as error:
        _end(error, EX_NOPERM)


def kafka_settings(settings: Settings) -> KafkaSettings:
    """Return how to reach Kafka; raise `MisconfiguredError` when that is not said."""
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
    """Return how to listen; raise `MisconfiguredError` when a number is none."""
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
        raise MisconfiguredError(f"{name}={text} is not a whole number up to {most}")
    return int(text)


def _end(error: Exception, code: int) -> NoReturn:
    print(f"orderflow: {error}", file=sys.stderr)
    sys.exit(code)


def _store(service: Service) -> PostgresStore:
    try:
        return PostgresStore(required(os.environ, environment.DATABASE_URL), schema_name(service.name))
    except InvalidUriError as error:
        raise MisconfiguredError(f"{environment.DATABASE_URL}: {error}") from None


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
        raise MisconfiguredError(
            f"service {service.name}: its code {does} {sorted(code - resource) or 'nothing more'} that the resource's "
            f"{says} lacks, and the resource lists {sorted(resource - code) or 'nothing more'} that its code lacks"
        )


async def _run_and_close(
    service: Service, settings: Settings, consumer: Consumer, producer: Producer, store: PostgresStore
) -> None:
    try:
        await run(service, settings, consumer, producer, store, Clock())
    finally:
        await store.stop()


async def run(
    service: Service, settings: Settings, consumer: Consumer, producer: Producer, store: Store, clock: Clock
) -> None:
    """Run the parts of one service process until it is told to stop; the first part that fails ends all."""
    http = http_settings(settings)
    ending = Ending(http.drain)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.ask)
    loop.add_signal_handler(signal.SIGUSR1, logs.switch, _level(settings))
    process = Process(service, settings, consumer, producer, store, clock)
    try:
        await process.run(http, ending)
    finally:
        await _close(consumer.stop)
        if service.close is not None:
            await _close(service.close)


async def _close(stop: Callable[[], Awaitable[None]]) -> None:
    """Close, but no longer than a stop may take: a client whose broker is away waits for its answers.

    What goes wrong with it is told, and hides no reason of the end.
    """
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await run_isolated(stop)
    except TimeoutError:
        logger.warning("not closed in %.0f s; the end of the process will", _CLOSE_SECONDS)
    except Exception:
        logger.exception("not closed; the end of the process will")
