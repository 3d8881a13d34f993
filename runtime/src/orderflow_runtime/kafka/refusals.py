"""Whose fault an error of Kafka is when it answers a write: the cluster's for a while, the topic's until somebody mends
it, or the message's own. Only the first holds up everything.

Source: the Kafka protocol guide, "Error Codes", those that a produce request may be answered with.
"""

from enum import Enum
from typing import Final

from aiokafka.errors import KafkaError


class Whose(Enum):
    """What has to change for a write to succeed."""

    CLUSTER = "cluster"
    """it mends itself, or nothing can be written at all: try everything again"""
    TOPIC = "topic"
    """somebody has to mend the topic, or the service's rights on it: its messages wait, others do not"""
    BATCH = "batch"
    """a message of the batch, or all of them together: halve it until one stands alone, whose own failure it is"""


CODES: Final = {
    2: Whose.CLUSTER,  # CORRUPT_MESSAGE: damaged on the way
    3: Whose.TOPIC,  # UNKNOWN_TOPIC_OR_PARTITION
    5: Whose.CLUSTER,  # LEADER_NOT_AVAILABLE
    6: Whose.CLUSTER,  # NOT_LEADER_OR_FOLLOWER
    7: Whose.CLUSTER,  # REQUEST_TIMED_OUT
    10: Whose.BATCH,  # MESSAGE_TOO_LARGE
    13: Whose.CLUSTER,  # NETWORK_EXCEPTION
    17: Whose.TOPIC,  # INVALID_TOPIC_EXCEPTION
    18: Whose.BATCH,  # RECORD_LIST_TOO_LARGE
    19: Whose.TOPIC,  # NOT_ENOUGH_REPLICAS
    20: Whose.TOPIC,  # NOT_ENOUGH_REPLICAS_AFTER_APPEND
    21: Whose.CLUSTER,  # INVALID_REQUIRED_ACKS
    29: Whose.TOPIC,  # TOPIC_AUTHORIZATION_FAILED
    31: Whose.CLUSTER,  # CLUSTER_AUTHORIZATION_FAILED: no idempotent writes at all
    32: Whose.TOPIC,  # INVALID_TIMESTAMP: ours is the present, so the topic's bounds are odd
    35: Whose.CLUSTER,  # UNSUPPORTED_VERSION
    42: Whose.CLUSTER,  # INVALID_REQUEST
    43: Whose.TOPIC,  # UNSUPPORTED_FOR_MESSAGE_FORMAT
    44: Whose.TOPIC,  # POLICY_VIOLATION
    45: Whose.CLUSTER,  # OUT_OF_ORDER_SEQUENCE_NUMBER: a new producer begins anew
    46: Whose.CLUSTER,  # DUPLICATE_SEQUENCE_NUMBER
    47: Whose.CLUSTER,  # INVALID_PRODUCER_EPOCH
    53: Whose.CLUSTER,  # TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    54: Whose.CLUSTER,  # SECURITY_DISABLED
    56: Whose.CLUSTER,  # KAFKA_STORAGE_ERROR: its leader moves
    58: Whose.CLUSTER,  # SASL_AUTHENTICATION_FAILED
    59: Whose.CLUSTER,  # UNKNOWN_PRODUCER_ID
    67: Whose.CLUSTER,  # INVALID_TXN_STATE
    74: Whose.CLUSTER,  # FENCED_LEADER_EPOCH
    75: Whose.CLUSTER,  # UNKNOWN_LEADER_EPOCH
    76: Whose.TOPIC,  # UNSUPPORTED_COMPRESSION_TYPE
    87: Whose.BATCH,  # INVALID_RECORD: it lacks the key that a compacted topic needs
    89: Whose.CLUSTER,  # THROTTLING_QUOTA_EXCEEDED
    90: Whose.CLUSTER,  # PRODUCER_FENCED
    100: Whose.CLUSTER,  # UNKNOWN_TOPIC_ID: made anew, learnt with the next metadata
}

_ADVICE: Final = {
    3: "the topic is not there: make it, or see the flow's status for why it was not made",
    17: "the topic cannot be written to",
    19: "too few replicas are in sync: see its brokers, or its min.insync.replicas",
    20: "too few replicas are in sync: see its brokers, or its min.insync.replicas",
    29: "this service may not {access} it: see the flow's status, or give its user that right",
    32: "see the topic's message.timestamp settings",
    43: "the topic keeps an old message format",
    44: "a policy of the cluster refuses it",
    76: "see the topic's compression.type",
}


def whose(error: BaseException) -> Whose:
    """Return whose fault an error is; what is not listed, as codes of later versions, counts as the cluster's."""
    return CODES.get(getattr(error, "errno", -1), Whose.CLUSTER)


def words(topic: str, error: KafkaError, access: str = "write to") -> str:
    """Return what is told of a topic that is refused: which, why, and what to do."""
    advice = _ADVICE.get(error.errno, "").format(access=access)
    return f"Kafka refuses topic {topic}: {type(error).__name__}" + (f"; {advice}" if advice else "")
