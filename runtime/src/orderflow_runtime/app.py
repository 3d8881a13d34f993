"""The composition root of every service process: `main(build)` reads the environment and runs the service with it.

`run_services` does so with several in one process, `host.py`.
"""

import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NoReturn

import uvloop

from orderflow_contracts.event import Event
from orderflow_model import environment
from orderflow_model.names import schema_name
from orderflow_model.postgres_uri import InvalidUriError
from orderflow_model.service_config import Channel, ServiceConfig
from orderflow_runtime.core.event_log import LogRefuses
from orderflow_runtime.core.store import StoreRefuses
from orderflow_runtime.dispatch.effects import Clock
from orderflow_runtime.host import HostedService, run
from orderflow_runtime.http_server import HttpSettings
from orderflow_runtime.kafka.kafka_log import KafkaLog, KafkaSettings
from orderflow_runtime.observability import logs
from orderflow_runtime.postgres.lock_membership import LockedShards
from orderflow_runtime.postgres.postgres_store import PostgresStore
from orderflow_runtime.service import Service
from orderflow_runtime.settings import MisconfiguredError, Settings, required

EX_NOPERM, EX_CONFIG = 77, 78

Build = Callable[[Settings], Service]
"""What a service's module gives to `main`."""


def main(build: Build) -> None:
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
    run_services([partial(host_service, build, os.environ)])


def run_services(hosts: Sequence[Callable[[], HostedService]]) -> None:
    """Make services and run them in this process; raise `SystemExit` as `main` does."""
    try:
        hosted = [host() for host in hosts]
        level = hosted[0].settings.env.get(environment.LOG_LEVEL, "INFO")
        _set_up_logs(hosted, level)
        _spare_collector()
        uvloop.run(run(hosted, Clock(), level))
    except MisconfiguredError as error:
        _end(error, EX_CONFIG)
    except (LogRefuses, StoreRefuses) as error:
        _end(error, EX_NOPERM)


def host_service(build: Build, env: Mapping[str, str]) -> HostedService:
    """Make a service of its environment, with clients of Kafka and Postgres of its own; nothing is connected yet.

    Raise `MisconfiguredError`.
    """
    settings = Settings.read(env)
    service = build(settings)
    check_matrix(service, settings.config)
    store = _store(service, env)
    log = KafkaLog(kafka_settings(settings))
    consumer = log if settings.config.subscribes else LockedShards(log, store)
    return HostedService(service, settings, consumer, log, store, http_settings(settings), store.stop)


def _set_up_logs(hosted: Sequence[HostedService], level: str) -> None:
    """Log to standard error, or where a service is told a file, its lines there."""
    logs.set_up(hosted[0].settings.config.flow, ",".join(one.name for one in hosted), level)
    for one in hosted:
        if file := one.settings.env.get(environment.LOG_FILE):
            logs.write_apart(one.name, file)


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
    print("orderflow", *getattr(error, "__notes__", ()), error, sep=": ", file=sys.stderr)
    sys.exit(code)


def _store(service: Service, env: Mapping[str, str]) -> PostgresStore:
    try:
        return PostgresStore(required(env, environment.DATABASE_URL), schema_name(service.name))
    except InvalidUriError as error:
        raise MisconfiguredError(f"{environment.DATABASE_URL}: {error}") from None


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
