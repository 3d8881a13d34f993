"""Topics, users and access at a Kafka that has no Strimzi, by its admin API. The reconcile calls `provision`.

Everything is read first and only what differs is written. The client blocks, so it runs in a thread, and each call has
a deadline: a broker that is away costs seconds and holds up nothing else.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs re-export without saying so
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from orderflow_model.topics import Topic
from orderflow_operator import access
from orderflow_operator.errors import FlowError, KafkaUnavailableError, TopicRefusedError, UserRefusedError
from orderflow_operator.health import Health, State

SECONDS = 8.0

_ITERATIONS = 4096
_MECHANISMS = {"SCRAM-SHA-256": ScramMechanism.SCRAM_SHA_256, "SCRAM-SHA-512": ScramMechanism.SCRAM_SHA_512}
_TYPES = {access.ResourceType.TOPIC: ResourceType.TOPIC, access.ResourceType.GROUP: ResourceType.GROUP}
_NO_AUTHORIZER = (KafkaError.SECURITY_DISABLED, KafkaError.UNSUPPORTED_VERSION)

Rules = tuple[access.Access, ...]


@dataclass(frozen=True)
class Login:
    """How the operator reaches the broker; without a mechanism as nobody. `authority` is a certificate as PEM."""

    bootstrap: str
    protocol: str = "PLAINTEXT"
    mechanism: str | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    authority: str | None = None

    def options(self) -> dict[str, str | float]:
        """Return the client's settings."""
        options: dict[str, str | float] = {
            "bootstrap.servers": self.bootstrap,
            "client.id": "orderflow-operator",
            "socket.timeout.ms": SECONDS * 1000,
            "log_level": 0,
            "security.protocol": self.protocol,
        }
        if self.mechanism:
            options |= {"sasl.mechanism": self.mechanism, "sasl.username": self.username}
            options["sasl.password"] = self.password
        return options | ({"ssl.ca.pem": self.authority} if self.authority else {})


@dataclass(frozen=True)
class User:
    """A user to be there: its password and what it may do."""

    name: str
    password: str = field(repr=False)
    rules: Rules = ()


@dataclass
class Provisioned:
    """What was found and done: how each topic and user fares, and what could not be done."""

    topics: dict[str, Health] = field(default_factory=dict)
    users: dict[str, Health] = field(default_factory=dict)
    problems: list[FlowError] = field(default_factory=list)


class KafkaAdmin:
    """Clients by login, and which passwords have been set: Kafka does not tell whether it has the right one."""

    def __init__(self, connect: Callable[[dict[str, Any]], AdminClient] = AdminClient) -> None:
        self._connect = connect
        self._clients: dict[Login, AdminClient] = {}
        self._passwords_set: set[tuple[Login, User]] = set()

    async def provision(self, login: Login, topics: Iterable[Topic], users: Iterable[User]) -> Provisioned:
        """Make topics, users and access as they are wanted; what cannot be is among the problems."""
        return await asyncio.to_thread(self._provision, login, tuple(topics), tuple(users))

    async def remove(self, login: Login, topics: Iterable[str], users: Iterable[str]) -> None:
        """Remove topics and users with their access; raise KafkaUnavailableError."""
        await asyncio.to_thread(self._remove, login, tuple(topics), tuple(users))

    def _provision(self, login: Login, topics: tuple[Topic, ...], users: tuple[User, ...]) -> Provisioned:
        done = Provisioned()
        try:
            client = self._client(login)
            _Topics(client, done).provision(topics)
            if login.mechanism:
                self._provision_users(client, login, users, done)
        except KafkaException as error:
            self._clients.pop(login, None)
            done.problems.append(KafkaUnavailableError(login.bootstrap, _words(error)))
        return done

    def _provision_users(self, client: AdminClient, login: Login, users: tuple[User, ...], done: Provisioned) -> None:
        new = [user for user in users if (login, user) not in self._passwords_set]
        futures = client.alter_user_scram_credentials([_upsertion(login, user) for user in new]) if new else {}
        for user in users:
            try:
                if user.name in futures:
                    futures[user.name].result(SECONDS)
                    self._passwords_set.add((login, user))
                _set_access(client, user.name, user.rules)
                done.users[user.name] = Health(State.READY)
            except KafkaException as error:
                done.problems.append(UserRefusedError(user.name, _words(error)))

    def _remove(self, login: Login, topics: tuple[str, ...], users: tuple[str, ...]) -> None:
        client = self._client(login)
        try:
            there = client.list_topics(timeout=SECONDS).topics
            if left := [name for name in topics if name in there]:
                _settle(client.delete_topics(left))
            if login.mechanism and users:
                for user in users:
                    _set_access(client, user, ())
                _settle(client.alter_user_scram_credentials([_deletion(login, user) for user in users]))
        except KafkaException as error:
            raise KafkaUnavailableError(login.bootstrap, _words(error)) from error

    def _client(self, login: Login) -> AdminClient:
        if login not in self._clients:
            self._clients[login] = self._connect(login.options())
        return self._clients[login]


class _Topics:
    """One look at the broker's topics, and what is to be done to them."""

    def __init__(self, client: AdminClient, done: Provisioned) -> None:
        self._client = client
        self._done = done
        self._there = client.list_topics(timeout=SECONDS).topics

    def provision(self, topics: tuple[Topic, ...]) -> None:
        missing = [topic for topic in topics if topic.name not in self._there]
        self._create(missing)
        present = [topic for topic in topics if topic.name in self._there]
        for topic in present:
            self._grow(topic)
        self._configure(present)

    def _create(self, missing: list[Topic]) -> None:
        if missing:
            futures = self._client.create_topics(
                [NewTopic(one.name, one.partitions, one.replicas, config=one.config) for one in missing]
            )
            for topic in missing:
                if self._succeeds(topic, futures[topic.name]):
                    self._done.topics[topic.name] = Health(State.READY, wanted=topic.partitions)

    def _grow(self, topic: Topic) -> None:
        partitions = self._there[topic.name].partitions
        has, replicas = len(partitions), min((len(one.replicas) for one in partitions.values()), default=0)
        self._done.topics[topic.name] = Health(State.READY, wanted=has)
        if has > topic.partitions:
            why = f"has {has} partitions and cannot shrink to {topic.partitions}: Kafka takes no partition away"
            self._refuse(topic, "PartitionDecrease", why, has)
        elif replicas != topic.replicas:
            why = f"has {replicas} replicas, not {topic.replicas}; reassign its partitions, or give back the number"
            self._refuse(topic, "ReplicaChange", why, has)
        elif has < topic.partitions:
            future = self._client.create_partitions([NewPartitions(topic.name, topic.partitions)])[topic.name]
            if self._succeeds(topic, future):
                self._done.topics[topic.name] = Health(State.READY, wanted=topic.partitions)

    def _configure(self, present: list[Topic]) -> None:
        resources = [ConfigResource(ConfigResource.Type.TOPIC, topic.name) for topic in present]
        if not resources:
            return
        answers = {resource.name: answer for resource, answer in self._client.describe_configs(resources).items()}
        for topic in present:
            changes = _changes(topic.config, answers[topic.name].result(SECONDS))
            if changes:
                resource = ConfigResource(ConfigResource.Type.TOPIC, topic.name, incremental_configs=changes)
                self._succeeds(topic, self._client.incremental_alter_configs([resource])[resource])

    def _succeeds(self, topic: Topic, future: "Future[None]") -> bool:
        try:
            future.result(SECONDS)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return True
            self._refuse(topic, "TopicRefused", _words(error), 0)
            return False
        return True

    def _refuse(self, topic: Topic, reason: str, why: str, partitions: int) -> None:
        self._done.topics[topic.name] = Health(State.FAILED, reason, why, wanted=partitions)
        self._done.problems.append(TopicRefusedError(reason, topic.name, why))


def _changes(wanted: Mapping[str, str], has: Mapping[str, Any]) -> list[ConfigEntry]:
    """Return the settings to change; those that somebody else set and we do not name are left alone."""
    differ = (name for name, value in wanted.items() if name not in has or has[name].value != value)
    return [ConfigEntry(name, wanted[name], incremental_operation=AlterConfigOpType.SET) for name in differ]


def _set_access(client: AdminClient, user: str, rules: Rules) -> None:
    principal = f"User:{user}"
    anything = AclBindingFilter(
        ResourceType.ANY,
        None,  # type: ignore[arg-type]  # None is any name, whatever the stubs say
        ResourcePatternType.ANY,
        principal,
        None,  # type: ignore[arg-type]  # None is any host
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    try:
        has = set(client.describe_acls(anything).result(SECONDS))
    except KafkaException as error:
        if error.args[0].code() in _NO_AUTHORIZER:
            return
        raise
    wanted = {binding for rule in rules for binding in _bindings(principal, rule)}
    _settle(client.create_acls(list(wanted - has)) if wanted - has else {})
    _settle(client.delete_acls([_exactly(one) for one in has - wanted]) if has - wanted else {})


def _bindings(principal: str, rule: access.Access) -> list[AclBinding]:
    return [
        AclBinding(
            _TYPES[rule.type],
            rule.name,
            ResourcePatternType.LITERAL,
            principal,
            "*",
            AclOperation[operation.name],
            AclPermissionType.ALLOW,
        )
        for operation in rule.operations
    ]


def _exactly(binding: AclBinding) -> AclBindingFilter:
    pattern = (binding.restype, binding.name, binding.resource_pattern_type)
    return AclBindingFilter(*pattern, binding.principal, binding.host, binding.operation, binding.permission_type)


def _upsertion(login: Login, user: User) -> UserScramCredentialUpsertion:
    info = ScramCredentialInfo(_MECHANISMS[login.mechanism or ""], _ITERATIONS)
    return UserScramCredentialUpsertion(user.name, info, user.password.encode())


def _deletion(login: Login, user: str) -> UserScramCredentialDeletion:
    return UserScramCredentialDeletion(user, _MECHANISMS[login.mechanism or ""])


def _settle(futures: Mapping[Any, "Future[Any]"]) -> None:
    """Wait for all; what is already gone is as it should be."""
    for future in futures.values():
        try:
            future.result(SECONDS)
        except KafkaException as error:
            if error.args[0].code() not in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.RESOURCE_NOT_FOUND):
                raise


def _words(error: KafkaException) -> str:
    first = error.args[0]
    return str(first.str() or first.name())
