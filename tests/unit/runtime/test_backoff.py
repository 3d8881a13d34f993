"""How long a loop waits for what is away."""

from orderflow_runtime.backoff import Backoff


def test_waits_double_up_to_the_longest() -> None:
    """What stays away is asked for ever less often, but never given up."""
    backoff = Backoff(0.5, 3.0)
    assert [backoff.next_wait() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_a_success_begins_anew() -> None:
    """The next failure is none of a row, so it is tried again soon."""
    backoff = Backoff(0.5, 3.0)
    backoff.next_wait()
    backoff.next_wait()
    backoff.reset()
    assert backoff.next_wait() == 0.5
