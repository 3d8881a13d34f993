"""The composition root of every service process: `main(build)` reads the environment and runs the service with it.

`run_services` does so with several in one process, `host.py`.
"""

import gc
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NoReturn

import uvloop

from orderflow_contracts.event import Event
from orderflow_model import environment
from orderflow_model.names import schema_name
from orderflow_model.postgres_uri import InvalidUriError, PostgresUri
from orderflow_model.service_config import Channel, ServiceConfig
from orderflow_runtime.core.event_log import LogRefuses
from orderflow_runtime.core.store import StoreRefuses
from orderflow_runtime.dispatch.effects import Clock
from orderflow_runtime.host import HostedService, run
from orderflow_runtime.http_server import HttpSettings
from orderflow_runtime.kafka.handover import Handover
from orderflow_runtime.kafka.kafka_log import KafkaLog, KafkaSettings
from orderflow_runtime.observability import logs
from orderflow_runtime.postgres.connecting import check_files
from orderflow_runtime.postgres.connection_failures import CannotConnectError
from orderflow_runtime.postgres.lock_membership import LockedShards
from orderflow_runtime.postgres.postgres_store import PostgresStore
from orderflow_runtime.service import Service
from orderflow_runtime.settings import MisconfiguredError, Settings, required
from orderflow_runtime.variables import certificates, log_level, one_of, servers

EX_NOPERM, EX_CONFIG = 77, 78
_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_INSTANCE = re.compile(r"[-._a-zA-Z0-9]{1,249}")
"""What Kafka takes as the name of a group's static member."""

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


def run_services(hosts: Sequence[Callable[[Handover], HostedService]]) -> None:
    """Make services and run them in this process; raise `SystemExit` as `main` does."""
    handover = Handover()
    try:
        hosted = [host(handover) for host in hosts]
        level = log_level(hosted[0].settings.env)
        _set_up_logs(hosted, level)
        _spare_collector()
        uvloop.run(run(hosted, Clock(), level))
    except MisconfiguredError as error:
        _end(error, EX_CONFIG)
    except (LogRefuses, StoreRefuses) as error:
        _end(error, EX_NOPERM)


def host_service(build: Build, env: Mapping[str, str], handover: Handover) -> HostedService:
    """Make a service of its environment, with clients of Kafka and Postgres of its own; nothing is connected yet.

    What it writes to Kafka, and what others of the process write, goes by `handover` too. Raise `MisconfiguredError`.
    """
    settings = Settings.read(env)
    service = build(settings)
    check_matrix(service, settings.config)
    store = _store(service, env)
    log = KafkaLog(kafka_settings(settings), handover)
    consumer = log if settings.config.subscribes else LockedShards(log, store)
    return HostedService(service, settings, consumer, log, store, HttpSettings.read(env), store.stop)


def _set_up_logs(hosted: Sequence[HostedService], level: str) -> None:
    """Log to standard error, or where a service is told a file, its lines there."""
    logs.set_up(hosted[0].settings.config.flow, ",".join(one.name for one in hosted), level)
    for one in hosted:
        if file := one.settings.env.get(environment.LOG_FILE):
            _write_apart(one.name, file)


def _write_apart(service: str, file: str) -> None:
    try:
        logs.write_apart(service, file)
    except OSError as error:
        raise MisconfiguredError(f"{environment.LOG_FILE}={file} cannot be written: {error.strerror}") from None


def kafka_settings(settings: Settings) -> KafkaSettings:
    """Return how to reach Kafka; raise `MisconfiguredError` when that is not said, or cannot be."""
    env = settings.env
    required(env, environment.KAFKA_BOOTSTRAP)
    protocol = one_of(env, environment.KAFKA_SECURITY_PROTOCOL, "PLAINTEXT", _PROTOCOLS)
    if protocol.startswith("SASL"):
        required(env, environment.KAFKA_USERNAME)
        required(env, environment.KAFKA_PASSWORD)
    return KafkaSettings(
        bootstrap=servers(env, environment.KAFKA_BOOTSTRAP) or "",
        group=settings.config.group,
        topics=tuple(channel.topic for channel in settings.config.subscribes),
        security_protocol=protocol,
        sasl_mechanism=one_of(env, environment.KAFKA_SASL_MECHANISM, "SCRAM-SHA-512", _MECHANISMS),
        username=env.get(environment.KAFKA_USERNAME),
        password=env.get(environment.KAFKA_PASSWORD),
        ca_file=certificates(env, environment.KAFKA_CA_FILE),
        instance=_instance(env),
    )


def _instance(env: Mapping[str, str]) -> str | None:
    name = env.get(environment.INSTANCE) or None
    if name and not _INSTANCE.fullmatch(name):
        raise MisconfiguredError(f"{environment.INSTANCE}={name} is not a name of letters, digits, dots and dashes")
    return name


def _end(error: Exception, code: int) -> NoReturn:
    print("orderflow", *getattr(error, "__notes__", ()), error, sep=": ", file=sys.stderr)
    sys.exit(code)


def _store(service: Service, env: Mapping[str, str]) -> PostgresStore:
    try:
        uri = required(env, environment.DATABASE_URL)
        check_files(PostgresUri.parse(uri))
        return PostgresStore(uri, schema_name(service.name))
    except (InvalidUriError, CannotConnectError) as error:
        raise MisconfiguredError(f"{environment.DATABASE_URL}: {error}") from None


def _spare_collector() -> None:
    """Keep garbage collection off the hot path: a batch makes tens of thousands of objects and hardly a cycle, and what
    is imported by now stays for ever.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def check_matrix(service: Service, config: ServiceConfig) -> None:
    """Refuse to run when what the code handles and publishes is not what the resource declares, or is never served."""
    if service.app is not None and not service.commands:
        raise MisconfiguredError(f"service {service.name}: its app is not served, for it has no commands: give it both")
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
