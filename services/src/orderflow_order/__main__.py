"""The order service's process: `python -m orderflow_order`, in a pod and on a laptop alike."""

from datetime import UTC, datetime, timedelta
from functools import partial

from orderflow_order.commands import Cancel, Place, Resume
from orderflow_order.domain import SUBSCRIBES
from orderflow_order.handlers import DEADLINE, Handlers
from orderflow_order.http.api import build_app
from orderflow_order.measures import BEGAN, MEASURES
from orderflow_runtime import Service, Settings, main
from orderflow_shop.events import OrderCancelled, OrderCompleted, OrderCreated

WEBHOOK_SECRET = "ORDER_WEBHOOK_SECRET"  # noqa: S105 - the variable's name
DEFAULT_DEADLINE = timedelta(minutes=15)


def utc_now() -> datetime:
    """Return the time of the host's clock; times in histories come from it, decisions do not."""
    return datetime.now(UTC)


def build(settings: Settings) -> Service:
    """Make the service of the flow's saga deadline and the webhook's secret."""
    saga = settings.config.saga
    deadline = timedelta(milliseconds=saga.deadline_ms) if saga else DEFAULT_DEADLINE
    handlers = Handlers(deadline, utc_now)
    return Service(
        name="order",
        handlers=dict.fromkeys(SUBSCRIBES, handlers.receive),
        publishes=frozenset((OrderCreated, OrderCompleted, OrderCancelled)),
        timers={DEADLINE: handlers.expire},
        commands={Place: handlers.place, Cancel: handlers.cancel, Resume: handlers.resume},
        measures=MEASURES,
        began=BEGAN,
        app=partial(build_app, secret=settings.env.get(WEBHOOK_SECRET), clock=utc_now),
    )


if __name__ == "__main__":
    main(build)
