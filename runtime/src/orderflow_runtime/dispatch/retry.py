"""When a failed event is tried again, and a call whose outcome is not known asked for again."""

from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

from orderflow_model.service_config import DeliveryConfig
from orderflow_model.spec.delivery import OnExhausted


@dataclass(frozen=True)
class RetryPolicy:
    """The resource's `delivery`. Delays have full jitter of a half: between 50 % and 100 % of their nominal length."""

    delivery: DeliveryConfig
    random: Random = field(default_factory=Random)

    @property
    def timeout(self) -> float:
        """How long one handler call may take, in seconds."""
        return self.delivery.timeout_ms / 1000

    def exhausted(self, attempts: int) -> bool:
        """Return whether an event that failed `attempts` times is given up."""
        return self.delivery.on_exhausted is OnExhausted.DEAD_LETTER and attempts > self.delivery.retries

    def delay(self, attempts: int) -> timedelta:
        """Return the wait after the attempt with this number, from 1."""
        nominal = self.delivery.backoff.delay(self.delivery.delay_ms, self.delivery.max_delay_ms, attempts)
        return timedelta(milliseconds=nominal * (0.5 + self.random.random() / 2))
