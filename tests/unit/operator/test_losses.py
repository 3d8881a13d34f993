"""Who takes a flow's users away is told once it is no single mistake, and no longer than it goes on."""

from orderflow_operator.kubernetes.cache import FlowKey
from orderflow_operator.reconciler.losses import LATELY_SECONDS, Losses

KEY = FlowKey("team", "shop")
USERS = frozenset({"asker", "answerer"})


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


def test_a_user_lost_twice_is_told_until_it_has_stayed_for_long() -> None:
    """Once is mended in silence; the second time it is somebody who goes on, and when they stop it passes."""
    clock = Clock()
    losses = Losses(clock)
    rounds = [USERS, frozenset({"answerer"}), USERS, frozenset({"answerer"}), USERS]
    told = []
    for there in rounds:
        told.append(losses.note(KEY, USERS, there))
        clock.now += 60
    assert told == [[], [], [], ["asker"], ["asker"]]
    clock.now += LATELY_SECONDS
    assert losses.note(KEY, USERS, USERS) == []


def test_a_user_not_yet_made_or_no_longer_wanted_is_not_lost() -> None:
    """What was never seen, and what the flow itself let go, nobody took away."""
    losses = Losses(Clock())
    for _ in range(3):
        assert losses.note(KEY, USERS, frozenset()) == []
    for there in (USERS, frozenset({"asker"}), USERS, frozenset({"asker"})):
        assert losses.note(KEY, {"asker"}, there) == []


def test_flows_are_told_apart_and_forgotten() -> None:
    """One flow's losses are not another's, nor those of a later flow of its name."""
    losses, other = Losses(Clock()), FlowKey("team", "other")
    for there in (USERS, frozenset({"asker"}), USERS, frozenset({"asker"})):
        told = losses.note(KEY, USERS, there)
        assert losses.note(other, USERS, USERS) == []
    assert told == ["answerer"]
    losses.forget(KEY)
    assert losses.note(KEY, USERS, frozenset({"asker"})) == []
