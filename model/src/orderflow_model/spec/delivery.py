"""How often and how long a service tries an event: the flow's defaults and a service's own word.

`service_part` hands the effective delivery to the runtime, which parks and retries by it.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from orderflow_model.spec.base import Part, Rule
from orderflow_model.spec.scalars import Duration, between


class Backoff(StrEnum):
    """How the delay grows from one retry to the next."""

    EXPONENTIAL = "Exponential"
    LINEAR = "Linear"
    FIXED = "Fixed"

    def delay(self, first: float, longest: float, retry: int) -> float:
        """Return the wait before the retry with this number, from 1, in the unit of `first` and `longest`.

        The runtime shortens it by a random part, so that events that failed together do not come back together.
        """
        match self:
            case Backoff.FIXED:
                nominal = first
            case Backoff.LINEAR:
                nominal = first * retry
            case _:
                nominal = first * 2.0 ** min(retry - 1, 40)
        return min(nominal, longest)


class OnExhausted(StrEnum):
    """What becomes of an event after its last retry."""

    DEAD_LETTER = "DeadLetter"
    BLOCK = "Block"


Retries = Annotated[int, Field(strict=True, ge=0, le=100, description="Retries after the first attempt of an event.")]
BackoffOf = Annotated[Backoff, Field(description="How the delay grows from one retry to the next.")]
Delay = Annotated[Duration, Field(description="Delay before the first retry."), between("1ms", "1h")]
MaxDelay = Annotated[Duration, Field(description="Longest delay between two retries."), between("1ms", "24h")]
Timeout = Annotated[Duration, Field(description="Longest time one attempt may take."), between("100ms", "1h")]
Exhausted = Annotated[
    OnExhausted,
    Field(
        description="After the last retry: DeadLetter moves the event to the service's dead-letter topic, "
        "Block keeps it and holds up later events of the same key."
    ),
]

DELAY_WITHIN_MAX = "delay must not exceed maxDelay"


class Delivery(Part):
    """How events are delivered where a service says nothing of its own."""

    retries: Retries = 5
    backoff: BackoffOf = Backoff.EXPONENTIAL
    delay: Delay = Duration("1s")
    max_delay: MaxDelay = Duration("5m")
    timeout: Timeout = Duration("30s")
    on_exhausted: Exhausted = OnExhausted.DEAD_LETTER

    rules = (
        Rule(
            cel="!has(self.delay) || !has(self.maxDelay) || duration(self.delay) <= duration(self.maxDelay)",
            message=DELAY_WITHIN_MAX,
            holds=lambda delivery: delivery.delay.milliseconds <= delivery.max_delay.milliseconds,
        ),
    )


class DeliveryOverride(Part):
    """How events are delivered to one service; what it leaves out comes from the defaults."""

    retries: Retries | None = None
    backoff: BackoffOf | None = None
    delay: Delay | None = None
    max_delay: MaxDelay | None = None
    timeout: Timeout | None = None
    on_exhausted: Exhausted | None = None

    rules = (
        Rule(
            cel="!has(self.delay) || !has(self.maxDelay) || duration(self.delay) <= duration(self.maxDelay)",
            message=DELAY_WITHIN_MAX,
            holds=lambda delivery: (
                delivery.delay is None
                or delivery.max_delay is None
                or delivery.delay.milliseconds <= delivery.max_delay.milliseconds
            ),
        ),
    )

    def over(self, defaults: Delivery) -> Delivery:
        """Return the effective delivery; lint finds the one that breaks a rule only in combination."""
        return defaults.model_copy(update=dict(self._given()))

    def _given(self) -> list[tuple[str, object]]:
        return [(name, value) for name, value in self if value is not None]
