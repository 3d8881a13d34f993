"""Why a Kafka cannot be reached, and why it refuses a topic, in words that say what to do. Pure.

The clients tell much and name little: librdkafka says "Broker transport failure", aiokafka "Unable to bootstrap", and
the reason stands in what they heard on the way. The command, the services and the operator hand that here.
"""

import re
from collections.abc import Iterable

_WRONG_LOGIN = "authentication failed: there is no such user, or its password is another"
_NO_LOGIN = "that listener asks for no login, and one is given"
_WRONG_NAME = "the broker's certificate is for another host name than this address has"
_OUT_OF_DATE = "the broker's certificate has expired, or does not hold yet"
_UNKNOWN_AUTHORITY = "the broker's certificate is not signed by the authority that is given, or by the system's"
_TOO_PLAIN = (
    "the broker's certificate or its authority's lacks what X.509 asks for (key usage, critical basic constraints, key"
    " identifiers): have both issued anew; Strimzi does it when its cluster CA is renewed"
)
_NO_CERTIFICATE = "the certificate authority is no certificate in PEM"
_PLAIN = "that port speaks no TLS: it is a plain listener, or no Kafka"
_CLOSED = "the broker closes the connection without a word: the port may ask for TLS or for a login, or be no Kafka's"

_HEARD = (
    (r"(?i)Unsupported ?SASL ?mechanism", "the broker does not offer this SASL mechanism"),
    (r"IllegalSaslState|not valid in current SASL state", _NO_LOGIN),
    (r"SaslAuthenticationFailed|SASL authentication error|_AUTHENTICATION", _WRONG_LOGIN),
    (r"(hostname|IP address) mismatch|certificate is not valid for", _WRONG_NAME),
    (r"certificate has expired|certificate is not yet valid", _OUT_OF_DATE),
    (r"(?i)key usage|key identifier|basic constraints", _TOO_PLAIN),
    (r"PEM|NO_CERTIFICATE_OR_CRL_FOUND|NO_START_LINE", _NO_CERTIFICATE),
    (r"certificate verify failed|CERTIFICATE_VERIFY_FAILED", _UNKNOWN_AUTHORITY),
    (r"PLAINTEXT broker listener|WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|SSL\w*EOF|SSL handshake failed|"
     # what Python says when a TLS handshake is cut off, and of nothing else
     r"^Connection(Reset|Aborted)Error: $", _PLAIN),
    (r"Invalid response size|CorruptRecord|UNKNOWN_PROTOCOL", "what answers there is no Kafka"),
    (r"Name or service not known|nodename nor servname|Temporary failure in name|No address associated|"
     r"Failed to resolve|_RESOLVE|gaierror",
     "the host's name is not known"),
    (r"[Cc]onnection refused|ConnectionRefusedError|Errno (111|61)\b", "nobody listens on that port"),
    (r"[Nn]o route to host|unreachable|Errno (113|101|65|51)\b", "there is no way to that host"),
    (r"names no broker", "it answers, and the controllers let no broker in yet: it has just come up, or stood still"),
    (r"(?i)timed? ?out|TimeoutError", "no answer in time"),
)  # fmt: skip
"""The first that matches any of what was heard is the reason: what is more certain stands first."""

_REFUSED = {
    "TOPIC_ALREADY_EXISTS": "it is there, and the user may not see it: it needs Describe on the topic",
    "TOPIC_AUTHORIZATION_FAILED": "the user may not do that: it needs Create, Describe, Alter, DescribeConfigs and"
    " AlterConfigs on the topic",
    "CLUSTER_AUTHORIZATION_FAILED": "the user may not do that: it needs Create, Describe and Alter on the cluster",
    "INVALID_REPLICATION_FACTOR": "there are not as many brokers as it wants replicas",
    "POLICY_VIOLATION": "a policy of the cluster forbids it",
    "UNSUPPORTED_VERSION": "the cluster is too old for that",
    "_UNSUPPORTED_FEATURE": "the cluster is too old for that",
    "INVALID_CONFIG": "a setting is refused",
    "INVALID_PARTITIONS": "this number of partitions is refused",
    "TOPIC_EXCEPTION": "the topic's name is refused",
    "THROTTLING_QUOTA_EXCEEDED": "the user changes more than its quota allows, and has to wait",
    "REQUEST_TIMED_OUT": "no answer in time",
    "_TIMED_OUT": "no answer in time",
}


def unreachable_reason(heard: Iterable[str]) -> str:
    """Return why there is no connection, by what a client has heard of it; the oldest first."""
    words = [word for word in heard if word]
    for pattern, reason in _HEARD:
        if any(re.search(pattern, word) for word in words):
            return reason
    return _CLOSED


def refusal_reason(code: str, words: str) -> str:
    """Return why the broker refuses something: its error's name as words, and what it says itself."""
    reason = _REFUSED.get(code, "")
    said = words.strip().rstrip(".")
    return f"{reason} ({said})" if reason and said else reason or said or code
