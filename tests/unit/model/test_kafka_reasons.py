"""What clients say when they cannot connect, and what people are told; the tests on real brokers give most of these."""

import pytest

from orderflow_model.kafka_reasons import refusal_reason, unreachable_reason

HEARD = {
    "_TRANSPORT: 10.0.0.9:9092: Connect to ipv4#10.0.0.9:9092 failed: No route to host": "no way to that host",
    "OSError: [Errno 113] Connect call failed ('10.0.0.9', 9092)": "no way to that host",
    "OSError: Multiple exceptions: [Errno 111] Connect call failed, [Errno 111] Connect call failed": "nobody listens",
    "gaierror: [Errno -5] No address associated with hostname": "name is not known",
    "TimeoutError: ": "no answer in time",
    "_TIMED_OUT: Local: Timed out": "no answer in time",
    "RequestTimedOutError: ": "no answer in time",
    "SSLCertVerificationError: certificate verify failed: certificate has expired (_ssl.c:1000)": "has expired",
    "SSLCertVerificationError: Hostname mismatch, certificate is not valid for 'kafka'": "name",
    "SSLCertVerificationError: certificate verify failed: Missing Authority Key Identifier (_ssl.c:1032)": "X.509",
    "SSLCertVerificationError: certificate verify failed: CA cert does not include key usage extension": "X.509",
    "SSLCertVerificationError: certificate verify failed: Path length given without key usage keyCertSign": "X.509",
    "SSLCertVerificationError: certificate verify failed: Basic Constraints of CA cert not marked critical": "X.509",
    "SSLError: [SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1000)": "speaks no TLS",
    "_BAD_MSG: Receive failed: Invalid response size 1213486160 (0..100000000)": "no Kafka",
    "KafkaConnectionError: [('kafka', 9092, 0)] names no broker": "the controllers let no broker in",
    "KafkaConnectionError: Connection at kafka:9092 closed": "may ask for TLS or for a login",
}


@pytest.mark.parametrize(("heard", "words"), HEARD.items())
def test_each_failure_has_its_words(heard: str, words: str) -> None:
    """Alone, and among the noise that follows it."""
    noise = [
        "_ALL_BROKERS_DOWN: 1/1 brokers are down",
        "KafkaConnectionError: Unable to bootstrap from [('kafka', 9092)]",
    ]
    assert words in unreachable_reason([heard])
    assert unreachable_reason([*noise, heard, *noise]) == unreachable_reason([heard])


def test_the_more_certain_reason_is_told() -> None:
    """Of several brokers one refuses the password and one is away: the password is what a person can mend."""
    away, refused = "OSError: [Errno 111] Connect call failed", "SaslAuthenticationFailed: invalid credentials"
    assert "authentication failed" in unreachable_reason([away, refused])


def test_an_unknown_refusal_is_told_in_the_brokers_words() -> None:
    """And by its code where it says nothing."""
    assert refusal_reason("SOME_NEW_ERROR", "Not today.") == "Not today"
    assert refusal_reason("SOME_NEW_ERROR", "") == "SOME_NEW_ERROR"
    assert (
        refusal_reason("POLICY_VIOLATION", "At most 9 topics")
        == "a policy of the cluster forbids it (At most 9 topics)"
    )
