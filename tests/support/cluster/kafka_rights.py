"""Topics, users and ACLs on a real Kafka, as the double of Strimzi keeps them. Blocking calls; run them in a thread."""

import re
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from support.cluster.kafka_books import TopicState

Json = dict[str, Any]
_TYPES = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP, "cluster": ResourceType.BROKER}
_PATTERNS = {"literal": ResourcePatternType.LITERAL, "prefix": ResourcePatternType.PREFIXED}
_SCRAM = ScramMechanism.SCRAM_SHA_512
_TIMEOUT_S = 30


class KafkaRights:
    """An administrator of one broker."""

    def __init__(self, bootstrap: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})

    def partitions(self, topic: str) -> int:
        """Give how many partitions a topic has; 0 where there is none."""
        found = self._admin.list_topics(timeout=_TIMEOUT_S).topics.get(topic)
        return len(found.partitions) if found else 0

    def topic(self, name: str) -> TopicState | None:
        """Give what there is of a topic; None where there is none."""
        resource = ConfigResource(ConfigResource.Type.TOPIC, name)
        try:
            (described,) = self._admin.describe_topics(TopicCollection([name])).values()
            found = described.result(_TIMEOUT_S)
            (configs,) = self._admin.describe_configs([resource]).values()
            entries = configs.result(_TIMEOUT_S).values()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return None
            raise
        settings = {entry.name: entry.value for entry in entries if entry.value is not None}
        own = frozenset(entry.name for entry in entries if entry.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value)
        replicas = len(found.partitions[0].replicas)
        return TopicState(str(found.topic_id), len(found.partitions), replicas, settings, own)

    def create_topic(self, name: str, partitions: int, replicas: int, settings: Mapping[str, str]) -> str:
        """Make a topic, unless it is there by now; give its id."""
        wanted = NewTopic(name, partitions, replicas, config=dict(settings))
        _finish(self._admin.create_topics([wanted]), KafkaError.TOPIC_ALREADY_EXISTS)
        deadline = time.monotonic() + _TIMEOUT_S
        while not (made := self.topic(name)):  # the broker that answers may not have heard of it yet
            if time.monotonic() > deadline:
                raise TimeoutError(f"no topic {name} {_TIMEOUT_S} s after it was made")
            time.sleep(0.05)
        return made.id

    def alter_settings(self, name: str, changes: Mapping[str, str | None]) -> None:
        """Set what has a value, unset what has None."""
        unset, put = AlterConfigOpType.DELETE, AlterConfigOpType.SET
        entries = [
            ConfigEntry(key, value, incremental_operation=unset if value is None else put)
            for key, value in changes.items()
        ]
        resource = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=entries)
        _finish(self._admin.incremental_alter_configs([resource]))

    def add_partitions(self, name: str, partitions: int) -> None:
        """Raise the number of partitions."""
        _finish(self._admin.create_partitions([NewPartitions(name, partitions)]))

    def delete_topic(self, topic: str) -> None:
        """Delete a topic, if it is there."""
        _finish(self._admin.delete_topics([topic]), KafkaError.UNKNOWN_TOPIC_OR_PART)

    def ensure_user(self, user: str, password: str, rules: list[Json]) -> None:
        """Give a user its password and exactly these rules, written as Strimzi's `acls`."""
        info = ScramCredentialInfo(_SCRAM, 4096)
        upsertion = UserScramCredentialUpsertion(user, info, password.encode())
        _finish(self._admin.alter_user_scram_credentials([upsertion]))
        wanted = {_binding(user, rule, operation) for rule in rules for operation in rule["operations"]}
        present = set(self._bindings(f"User:{user}"))
        if extra := present - wanted:
            _finish(self._admin.delete_acls([_filter_of(one) for one in extra]))
        if missing := wanted - present:
            _finish(self._admin.create_acls(list(missing)))

    def drop_user(self, user: str) -> None:
        """Take a user away, with its password and rules."""
        deletion = UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_512)
        _finish(self._admin.alter_user_scram_credentials([deletion]), KafkaError.RESOURCE_NOT_FOUND)
        self.forget(user)

    def forget(self, user: str) -> None:
        """Take a user's password and rules away."""
        _finish(self._admin.delete_acls([_all_of(f"User:{user}")]))
        deletion = UserScramCredentialDeletion(user, _SCRAM)
        _finish(self._admin.alter_user_scram_credentials([deletion]), KafkaError.RESOURCE_NOT_FOUND)

    def principals(self) -> set[str]:
        """Give everybody who has a password or a rule."""
        return self.users() | {one.principal.removeprefix("User:") for one in self._bindings(None)}

    def users(self) -> set[str]:
        """Give all SCRAM users."""
        return set(self._admin.describe_user_scram_credentials().result(_TIMEOUT_S))

    def rules(self, user: str) -> set[tuple[str, str, str]]:
        """Give what a user may do: type, name, operation."""
        found = self._bindings(f"User:{user}")
        return {(one.restype.name.lower(), one.name, one.operation.name.capitalize()) for one in found}

    def _bindings(self, principal: str | None) -> list[AclBinding]:
        return list(self._admin.describe_acls(_all_of(principal)).result(_TIMEOUT_S))


def _all_of(principal: str | None) -> AclBindingFilter:
    of_any = (ResourceType.ANY, None, ResourcePatternType.ANY)
    return AclBindingFilter(*of_any, principal, None, AclOperation.ANY, AclPermissionType.ANY)


def _filter_of(one: AclBinding) -> AclBindingFilter:
    where = (one.restype, one.name, one.resource_pattern_type)
    return AclBindingFilter(*where, one.principal, one.host, one.operation, one.permission_type)


def _binding(user: str, rule: Json, operation: str) -> AclBinding:
    resource = rule["resource"]
    where = (_TYPES[resource["type"]], resource["name"], _PATTERNS[resource.get("patternType", "literal")])
    verb = AclOperation[re.sub(r"(?<!^)(?=[A-Z])", "_", operation).upper()]
    return AclBinding(*where, f"User:{user}", rule.get("host", "*"), verb, AclPermissionType.ALLOW)


def _finish(futures: Mapping[Any, Any], *allowed: int) -> None:
    for future in futures.values():
        try:
            future.result(_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() not in allowed:
                raise
