"""How long things may take in a flow before a person should know: derived from its delivery and its saga.

The alerts wait for these times; all are in seconds.
"""

from orderflow_model.flow import OrderFlow
from orderflow_model.spec.delivery import Delivery
from orderflow_model.spec.saga import Saga
from orderflow_model.spec.services import Service

_LEAST, _MOST = 60.0, 900.0


def delivery_of(flow: OrderFlow, service: Service) -> Delivery:
    """Return how events are delivered to a service."""
    return service.delivery.over(flow.spec.defaults.delivery)


def longest_retries(delivery: Delivery) -> float:
    """Return how long an event may be tried: all its delays at their longest, and each attempt to its timeout."""
    first, longest = delivery.delay.milliseconds, delivery.max_delay.milliseconds
    delays = sum(delivery.backoff.delay(first, longest, retry) for retry in range(1, delivery.retries + 1))
    return _seconds(delays + (delivery.retries + 1) * delivery.timeout.milliseconds)


def parked(delivery: Delivery) -> float:
    """Return how old the oldest parked event may be: tried to the end, behind one of its key that was so too."""
    return max(_LEAST, 2 * longest_retries(delivery))


def unpublished(delivery: Delivery) -> float:
    """Return how old a committed batch may be in the outbox: the next batch, at its longest, says that it is out."""
    return _LEAST + _seconds(delivery.timeout.milliseconds)


def without_batch(delivery: Delivery) -> float:
    """Return how long events may wait with no batch committed: two attempts at their longest, at least 5 minutes."""
    return max(300.0, 2 * _seconds(delivery.timeout.milliseconds))


def unanswered(delivery: Delivery) -> float:
    """Return in which time a call's outcome is asked for at least twice, at least 10 minutes."""
    return max(600.0, 2 * _seconds(delivery.max_delay.milliseconds + delivery.timeout.milliseconds))


def past_deadline(saga: Saga) -> float:
    """Return how long a run may be past its deadline: a tenth of it, between 1 and 15 minutes."""
    return min(_MOST, max(_LEAST, _seconds(saga.deadline.milliseconds) / 10))


def _seconds(milliseconds: float) -> float:
    return milliseconds / 1000
