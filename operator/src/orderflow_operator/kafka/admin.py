"""Topics, users and access at a Kafka that has no Strimzi, by its admin API. The reconcile calls `provision`.

Everything is read first and only what differs is written. The client blocks, so it runs in a thread, and each call has
a deadline: a broker that is away costs seconds and holds up nothing else. Topics are seen to in `topics.py`.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs re-export without saying so
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from orderflow_model.status import KafkaStatus
from orderflow_model.topic_changes import Ours
from orderflow_model.topics import Topic
from orderflow_operator.kafka import acls
from orderflow_operator.kafka.client import KafkaClient, Login, raise_if_away, refusal, settled, unmade
from orderflow_operator.kafka.topics import KafkaTopics
from orderflow_operator.kubernetes.errors import FlowError, KafkaUnavailableError, UserRefusedError
from orderflow_operator.kubernetes.health import Health, State

_ITERATIONS = 4096
_MECHANISMS = {"SCRAM-SHA-256": ScramMechanism.SCRAM_SHA_256, "SCRAM-SHA-512": ScramMechanism.SCRAM_SHA_512}
_TYPES = {acls.ResourceType.TOPIC: ResourceType.TOPIC, acls.ResourceType.GROUP: ResourceType.GROUP}
_GONE = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.RESOURCE_NOT_FOUND, KafkaError.GROUP_ID_NOT_FOUND)
_NO_AUTHORIZER = (KafkaError.SECURITY_DISABLED, KafkaError.UNSUPPORTED_VERSION)

Rules = tuple[acls.Acl, ...]


@dataclass(frozen=True)
class User:
    """A user to be there: its password and what it may do; with `keeps`, also what it may do by now with our topics."""

    name: str
    password: str = field(repr=False)
    rules: Rules = ()
    keeps: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Found:
    """What a Kafka says of itself: its own id, however its address is written; topics' ids by name; users by name."""

    cluster: str
    topics: Mapping[str, str]
    users: frozenset[str]


@dataclass
class Provisioned:
    """What was found and done: how each topic and user fares, what of topics is ours, and what could not be done.

    `created` are the topics that this turn made, `unseen` those that were made before and that the broker does not know
    yet, `kafka` is where they are marked.
    """

    topics: dict[str, Health] = field(default_factory=dict)
    users: dict[str, Health] = field(default_factory=dict)
    ours: Mapping[str, Ours] = field(default_factory=dict)
    problems: list[FlowError] = field(default_factory=list)
    created: frozenset[str] = frozenset()
    unseen: frozenset[str] = frozenset()
    kafka: KafkaStatus | None = None


class KafkaAdmin:
    """Clients by login, and which passwords have been set: Kafka tells who has one, and not which."""

    def __init__(self, connect: Callable[[dict[str, Any]], AdminClient] = AdminClient) -> None:
        self._connect = connect
        self._clients: dict[Login, KafkaClient] = {}
        self._passwords_set: set[tuple[Login, User]] = set()

    async def observe(self, login: Login, topics: Collection[str], users: Collection[str]) -> Found:
        """Return which Kafka it is, and what of these topics and users is there; raise `KafkaUnavailableError`."""
        return await asyncio.to_thread(self._look, login, list(topics), list(users))

    async def provision(
        self,
        login: Login,
        topics: Iterable[Topic],
        users: Iterable[User],
        ours: Mapping[str, Ours] = MappingProxyType({}),
    ) -> Provisioned:
        """Make topics, users and access as they are wanted; what cannot be is among the problems.

        `ours` names the topics that are the flow's; one that is there and not among them is left alone, and nobody gets
        a right on it.
        """
        return await asyncio.to_thread(self._provision, login, tuple(topics), tuple(users), ours)

    async def remove(self, login: Login, topics: Iterable[str], users: Iterable[str]) -> None:
        """Remove topics and users with their access; raise `KafkaUnavailableError`."""
        await asyncio.to_thread(self._remove, login, tuple(topics), tuple(users))

    async def remove_groups(self, login: Login, groups: Collection[str]) -> frozenset[str]:
        """Remove consumer groups; return those that are left, for they have members. Raise `KafkaUnavailableError`."""
        return await asyncio.to_thread(self._remove_groups, login, list(groups)) if groups else frozenset()

    def _look(self, login: Login, topics: list[str], users: list[str]) -> Found:
        with self._reached(login) as client:
            cluster = settled(client.describe_cluster()).cluster_id or ""
            described = client.describe_topics(TopicCollection(topics)) if topics else {}
            ids = {name: str(one.topic_id) for name, one in _known(described).items()}
            logins: Any = client.describe_user_scram_credentials(users) if login.mechanism and users else {}
            return Found(cluster, ids, frozenset(_known(logins)))

    def _provision(
        self, login: Login, topics: tuple[Topic, ...], users: tuple[User, ...], ours: Mapping[str, Ours]
    ) -> Provisioned:
        done = Provisioned(ours=ours)
        try:
            with self._reached(login) as client:
                made = KafkaTopics(client, ours)
                done = Provisioned(made.health, {}, made.ours, [])
                made.provision(topics)
                done.problems += made.problems
                done.created, done.unseen = frozenset(made.created), frozenset(made.unseen)
                if login.mechanism:
                    self._provision_users(client, login, users, done)
        except KafkaUnavailableError as away:
            done.problems.append(away)
        return done

    def _provision_users(self, client: AdminClient, login: Login, users: tuple[User, ...], done: Provisioned) -> None:
        there = _scram_users(client, login, users)
        new = [user for user in users if user.name not in there or (login, user) not in self._passwords_set]
        futures = client.alter_user_scram_credentials([_upsertion(login, user) for user in new]) if new else {}
        for user in users:
            try:
                if user.name in futures:
                    settled(futures[user.name])
                    self._passwords_set.add((login, user))
                kept = done.ours if user.keeps else ()
                _set_access(client, user.name, acls.permitted(user.rules, done.ours), kept)
                done.users[user.name] = Health(State.READY)
            except KafkaException as error:
                raise_if_away(error)
                done.problems.append(UserRefusedError(user.name, refusal(error)))

    def _remove_groups(self, login: Login, groups: list[str]) -> frozenset[str]:
        used = set()
        with self._reached(login) as client:
            for group, future in client.delete_consumer_groups(groups).items():
                try:
                    _settle({group: future})
                except KafkaException as error:
                    if error.args[0].code() != KafkaError.NON_EMPTY_GROUP:
                        raise
                    used.add(group)
        return frozenset(used)

    def _remove(self, login: Login, topics: tuple[str, ...], users: tuple[str, ...]) -> None:
        with self._reached(login) as client:
            if topics:
                _settle(client.delete_topics(list(topics)))
            if login.mechanism and users:
                for user in users:
                    _set_access(client, user, ())
                _settle(client.alter_user_scram_credentials([_deletion(login, user) for user in users]))

    @contextmanager
    def _reached(self, login: Login) -> Iterator[AdminClient]:
        """Yield a client of that login; raise `KafkaUnavailableError` with the reason when it cannot be or fails."""
        try:
            if login not in self._clients:
                self._clients[login] = KafkaClient(login, self._connect)
        except KafkaException as error:
            raise KafkaUnavailableError(login.bootstrap, unmade(error)) from error
        client = self._clients[login]
        try:
            yield client.admin
        except KafkaException as error:
            self._clients.pop(login, None)
            raise KafkaUnavailableError(login.bootstrap, client.reason(error)) from error


def _known(futures: Mapping[str, "Future[Any]"]) -> dict[str, Any]:
    """Return what was answered; what the broker does not know, or does not show us, is left out."""
    found = {}
    for name, future in futures.items():
        try:
            found[name] = settled(future)
        except KafkaException as error:
            raise_if_away(error)
    return found


def _scram_users(client: AdminClient, login: Login, users: tuple[User, ...]) -> set[str]:
    """Return which of the users Kafka lets in by a password of the login's mechanism, as far as it shows us."""
    mechanism = _MECHANISMS[login.mechanism or ""]
    futures: Any = client.describe_user_scram_credentials([user.name for user in users]) if users else {}
    kept = {name: found.scram_credential_infos for name, found in _known(futures).items()}
    return {name for name, infos in kept.items() if any(one.mechanism == mechanism for one in infos)}


def _set_access(client: AdminClient, user: str, rules: Rules, kept: Collection[str] = ()) -> None:
    """Give a user these rights and no others, but for those that it has with topics whose rights are kept."""
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
        has = set(settled(client.describe_acls(anything)))
    except KafkaException as error:
        if error.args[0].code() in _NO_AUTHORIZER:
            return
        raise
    wanted = {binding for rule in rules for binding in _bindings(principal, rule)}
    _settle(client.create_acls(list(wanted - has)) if wanted - has else {})
    stale = [one for one in has - wanted if _topic(one) not in kept]
    _settle(client.delete_acls([_exactly(one) for one in stale]) if stale else {})


def _bindings(principal: str, rule: acls.Acl) -> list[AclBinding]:
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


def _topic(binding: AclBinding) -> str:
    """Return the topic that a right goes with."""
    of = acls.ResourceType.TOPIC if binding.restype is ResourceType.TOPIC else acls.ResourceType.GROUP
    return acls.bound_to(of, binding.name)


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
            settled(future)
        except KafkaException as error:
            if error.args[0].code() not in _GONE:
                raise
