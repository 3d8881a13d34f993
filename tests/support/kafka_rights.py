"""Topics, users and ACLs on a real Kafka, as the double of Strimzi makes them. Blocking calls; run them in a thread."""

from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

Json = dict[str, Any]
_TYPES = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP, "cluster": ResourceType.BROKER}
_PATTERNS = {"literal": ResourcePatternType.LITERAL, "prefix": ResourcePatternType.PREFIXED}
_TIMEOUT_S = 30


class KafkaRights:
    """An administrator of one broker."""

    def __init__(self, bootstrap: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})

    def partitions(self, topic: str) -> int:
        """Give how many partitions a topic has; 0 where there is none."""
        found = self._admin.list_topics(timeout=_TIMEOUT_S).topics.get(topic)
        return len(found.partitions) if found else 0

    def ensure_topic(self, topic: str, partitions: int, config: Mapping[str, str]) -> None:
        """Create a topic on the one broker, or add partitions."""
        present = self.partitions(topic)
        if not present:
            settings = dict(config) | {"min.insync.replicas": "1"}
            _finish(self._admin.create_topics([NewTopic(topic, partitions, 1, config=settings)]))
        elif present < partitions:
            _finish(self._admin.create_partitions([NewPartitions(topic, partitions)]))

    def delete_topic(self, topic: str) -> None:
        """Delete a topic, if it is there."""
        _finish(self._admin.delete_topics([topic]), KafkaError.UNKNOWN_TOPIC_OR_PART)

    def ensure_user(self, user: str, password: str, rules: list[Json]) -> None:
        """Give a user its password and exactly these rules, written as Strimzi's `acls`."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        upsertion = UserScramCredentialUpsertion(user, info, password.encode())
        _finish(self._admin.alter_user_scram_credentials([upsertion]))
        self.forget(user)
        bindings = [_binding(user, rule, operation) for rule in rules for operation in rule["operations"]]
        if bindings:
            _finish(self._admin.create_acls(bindings))

    def forget(self, user: str) -> None:
        """Take all rules of a user away."""
        of_any = (ResourceType.ANY, None, ResourcePatternType.ANY)
        of_user = (f"User:{user}", None, AclOperation.ANY, AclPermissionType.ANY)
        _finish(self._admin.delete_acls([AclBindingFilter(*of_any, *of_user)]))

    def users(self) -> set[str]:
        """Give all SCRAM users."""
        return set(self._admin.describe_user_scram_credentials().result(_TIMEOUT_S))

    def rules(self, user: str) -> set[tuple[str, str, str]]:
        """Give what a user may do: type, name, operation."""
        of_any = (ResourceType.ANY, None, ResourcePatternType.ANY)
        of_user = (f"User:{user}", None, AclOperation.ANY, AclPermissionType.ANY)
        found = self._admin.describe_acls(AclBindingFilter(*of_any, *of_user)).result(_TIMEOUT_S)
        return {(one.restype.name.lower(), one.name, one.operation.name.capitalize()) for one in found}


def _binding(user: str, rule: Json, operation: str) -> AclBinding:
    resource = rule["resource"]
    where = (_TYPES[resource["type"]], resource["name"], _PATTERNS[resource.get("patternType", "literal")])
    verb = AclOperation[operation.upper()]
    return AclBinding(*where, f"User:{user}", rule.get("host", "*"), verb, AclPermissionType.ALLOW)


def _finish(futures: Mapping[Any, Any], *allowed: int) -> None:
    for future in futures.values():
        try:
            future.result(_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() not in allowed:
                raise
