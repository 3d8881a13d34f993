"""Errors that carry what becomes of them: the condition they belong to, its reason, and what a person can do next.

Whoever finds one raises it or hands it on; `status.py` turns it into a condition, the work queue decides on retries.
"""

from collections.abc import Iterable

from orderflow_model.conditions import IDENTITIES_READY, TOPICS_READY
from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.kubernetes.kinds import KAFKA_TOPIC, Kind, ObjectKey


class FlowError(Exception):
    """Something that keeps a part of the flow from being as it should; the rest goes on."""

    def __init__(self, condition: str, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.condition = condition
        self.reason = reason
        self.message = message


class ConflictError(FlowError):
    """An object of the wanted name belongs to somebody else, and is left alone."""

    def __init__(self, key: ObjectKey, owner: str) -> None:
        is_topic = key.kind is KAFKA_TOPIC
        reason, what = ("TopicConflict", f"topic {key.name}") if is_topic else ("ObjectConflict", str(key))
        super().__init__(key.kind.condition, reason, f"{what} belongs to {owner}; rename one of the two, or delete it")


class RejectedError(FlowError):
    """The API server refuses an object; its words say why."""

    def __init__(self, key: ObjectKey, words: str) -> None:
        super().__init__(key.kind.condition, "Rejected", f"{key} is refused by the API server: {words}")


class NotServedError(FlowError):
    """The API of a kind is not there: the operator that brings it is not installed."""

    def __init__(self, kind: Kind) -> None:
        words = f"{kind.api_version} {kind.name} is not served here; install the operator that brings it"
        super().__init__(kind.condition, "ApiNotServed", words)


class SecretNotUsableError(FlowError):
    """A Secret that the flow names is not for flows, or not there: nothing of it reaches a pod."""

    def __init__(self, place: str, name: str, why: str) -> None:
        super().__init__(IDENTITIES_READY, "SecretNotUsable", f"{place}: Secret {name} {why}")


class SecretTakenError(FlowError):
    """A Secret of the name that Strimzi gives to a user's is somebody else's, and would be overwritten."""

    def __init__(self, name: str, owner: str) -> None:
        words = f"Strimzi would overwrite Secret {name}, which belongs to {owner}; rename the service, or the Secret"
        super().__init__(IDENTITIES_READY, "SecretConflict", words)


class DatabaseSecretMissingError(FlowError):
    """The Secret with the database's admin URI, or its key, is not there."""

    def __init__(self, name: str, key: str) -> None:
        words = f"Secret {name} with key {key} is not there; create it with the admin URI of the flow's database"
        super().__init__(IDENTITIES_READY, "DatabaseSecretMissing", words)


class DatabaseSecretInvalidError(FlowError):
    """The Secret's value is no URI of a database."""

    def __init__(self, name: str, key: str, why: str) -> None:
        super().__init__(IDENTITIES_READY, "DatabaseSecretInvalid", f"Secret {name}, key {key}: {why}")


class MarksUnreadableError(FlowError):
    """What is kept of a flow's topics and users at Kafka cannot be read: without it nothing there is touched."""

    def __init__(self, name: str, why: str) -> None:
        words = f"ConfigMap {name} is where the flow's topics and users at Kafka are marked, and {why}; move or mend it"
        super().__init__(TOPICS_READY, "MarksUnreadable", words)


class MarksLostError(FlowError):
    """What was kept of a flow's topics and users at Kafka is gone: whose they are, nobody knows any more."""

    def __init__(self, flow: FlowKey, name: str, kafka: str) -> None:
        words = (
            f"ConfigMap {name}, which told what is this flow's at Kafka {kafka}, is gone: nothing there is changed or "
            "deleted. Put it back as it was; or have it begin anew, and then grant the flow its topics "
            f"(docs/threat-model.md): kubectl create -n {flow.namespace} configmap {name}; "
            f"kubectl label -n {flow.namespace} configmap {name} app.kubernetes.io/part-of={flow.name} "
            "app.kubernetes.io/component=marks"
        )
        super().__init__(TOPICS_READY, "MarksLost", words)


class KafkaMovedError(FlowError):
    """The flow names another Kafka than that where its topics and users are."""

    def __init__(self, flow: FlowKey, marks: str, bootstrap: str, kafka: str, others: Iterable[str]) -> None:
        first, *_ = others = sorted(others)
        patch = f'{{"data":{{"{first}":null}}}}'
        words = (
            f"topics and users of this flow are at Kafka {', '.join(others)}, not at {bootstrap}, which is {kafka}: "
            "they would stay behind; give back the brokers, or make a new flow. Who gives up what is there takes it "
            f"out: kubectl patch -n {flow.namespace} configmap {marks} --type merge -p '{patch}'"
        )
        super().__init__(TOPICS_READY, "KafkaMoved", words)


class DataLeftError(FlowError):
    """What deletionPolicy Delete should drop is left in the database, for the reason given."""

    def __init__(self, why: str, owner: str) -> None:
        words = f'not all is dropped of what the database has of it under the comment "OrderFlow: {owner}": {why}'
        super().__init__(IDENTITIES_READY, "DataLeft", words)


class KafkaSecretMissingError(FlowError):
    """The Secret with the operator's own password at Kafka, or with its certificate, is not there."""

    def __init__(self, name: str, key: str) -> None:
        words = f"Secret {name} with key {key} is not there; the flow's spec.kafka names it; create it"
        super().__init__(TOPICS_READY, "KafkaSecretMissing", words)


class LoginNotForAddressError(FlowError):
    """The flow's brokers are not among those to which the login's owner lets it go."""

    def __init__(self, flow: FlowKey, name: str, key: str, servers: Iterable[str]) -> None:
        brokers = ",".join(servers)
        patch = f'{{"stringData":{{"{key}":"{brokers}"}}}}'
        words = (
            f"the login in Secret {name} is not sent to {brokers}: its key {key} does not list them; if they are the "
            "brokers it is for, its owner says so: "
            f"kubectl patch -n {flow.namespace} secret {name} --type merge -p '{patch}'"
        )
        super().__init__(TOPICS_READY, "LoginNotForAddress", words)


class KafkaUnavailableError(FlowError):
    """The broker does not answer; it is tried again."""

    def __init__(self, bootstrap: str, why: str) -> None:
        super().__init__(TOPICS_READY, "KafkaUnavailable", f"Kafka at {bootstrap}: {why}; tried again by itself")


class TopicRefusedError(FlowError):
    """What is asked of a topic cannot be done, or Kafka refuses it."""

    def __init__(self, reason: str, topic: str, place: str, why: str) -> None:
        where = f" ({place})" if place else ""
        super().__init__(TOPICS_READY, reason, f"topic {topic}{where} {why}")


class UserTakenError(FlowError):
    """A user of the wanted name is there and is not the flow's: its password and rights are left alone."""

    def __init__(self, user: str) -> None:
        words = f"user {user} is there and not this flow's; its owner can delete it, else rename the service"
        super().__init__(IDENTITIES_READY, "UserConflict", words)


class UsersTakenAwayError(FlowError):
    """Somebody else at this Kafka keeps deleting the flow's users; they are made anew each time."""

    def __init__(self, users: Iterable[str]) -> None:
        words = (
            f"somebody else keeps deleting {', '.join(users)} at this Kafka. Strimzi's user operator does so with "
            "users that have no KafkaUser: use provisioner Strimzi there, another Kafka, or take the user operator out"
        )
        super().__init__(IDENTITIES_READY, "UsersTakenAway", words)


class UserRefusedError(FlowError):
    """Kafka refuses a user or its access."""

    def __init__(self, user: str, why: str) -> None:
        super().__init__(IDENTITIES_READY, "UserRefused", f"user {user}: {why}")
