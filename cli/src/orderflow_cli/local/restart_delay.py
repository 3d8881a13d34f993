"""How long a program that ended waits before it is started again: longer each time, until it has run for a while."""

FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 10.0
STABLE_SECONDS = 10.0


class RestartDelay:
    """The delay of one program."""

    def __init__(self) -> None:
        self._seconds = FIRST_DELAY_SECONDS

    def after(self, ran_seconds: float) -> float:
        """Return the seconds to wait after a run that took so long."""
        stable = ran_seconds > STABLE_SECONDS
        self._seconds = FIRST_DELAY_SECONDS if stable else min(self._seconds * 2, LONGEST_DELAY_SECONDS)
        return self._seconds
