"""When a failed event is tried again: the resource's delays, with jitter, within their bounds."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderflow_model.service_config import DeliveryConfig
from orderflow_runtime.dispatch.retry import RetryPolicy

DELIVERIES = st.builds(
    DeliveryConfig,
    backoff=st.sampled_from(["Exponential", "Linear", "Fixed"]),
    delay_ms=st.integers(1, 3_600_000),
    max_delay_ms=st.integers(1, 86_400_000),
)


@settings(deadline=None)
@given(DELIVERIES, st.integers(1, 10_000), st.integers())
def test_a_delay_is_between_half_and_all_of_its_nominal_length(
    delivery: DeliveryConfig, attempt: int, seed: int
) -> None:
    """Whatever the settings and however many attempts, a delay is within its bounds and never above the maximum."""
    nominal = {
        "Fixed": delivery.delay_ms,
        "Linear": delivery.delay_ms * attempt,
        "Exponential": delivery.delay_ms * 2 ** min(attempt - 1, 100),
    }[delivery.backoff]
    bound = min(nominal, delivery.max_delay_ms) / 1000
    seconds = RetryPolicy(delivery, Random(seed)).delay(attempt).total_seconds()
    assert bound * 0.5 - 1e-6 <= seconds <= bound + 1e-6


def test_delays_are_spread() -> None:
    """Events that failed together do not come back together."""
    policy = RetryPolicy(DeliveryConfig(delay_ms=1_000), Random(1))
    seconds = sorted(policy.delay(1).total_seconds() for _ in range(1_000))
    assert seconds[0] < 0.51
    assert seconds[-1] > 0.99
    assert 0.73 < seconds[500] < 0.77


@pytest.mark.parametrize(("retries", "attempts", "over"), [(0, 1, True), (3, 3, False), (3, 4, True)])
def test_an_event_is_given_up_after_its_last_retry(retries: int, attempts: int, over: bool) -> None:
    """N retries are N + 1 attempts, unless the service blocks."""
    assert RetryPolicy(DeliveryConfig(retries=retries)).exhausted(attempts) is over
    assert not RetryPolicy(DeliveryConfig(retries=retries, on_exhausted="Block")).exhausted(attempts)
