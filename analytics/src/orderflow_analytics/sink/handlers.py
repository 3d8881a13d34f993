"""The sink's one handler: rows of what came, in the batch's transaction, so that each event is kept once."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta

from orderflow_runtime import Event, RawEvent, Received, Service, Transaction

TABLE, COLUMNS = "events", ("type", "source", "id", "version", "key", "time", "data")
ADD_DAYS = "SELECT add_days()"
_DAYS_BETWEEN = timedelta(days=1)


def sink_service(name: str, events: Iterable[str], today: Callable[[], date]) -> Service:
    """Return the service of this name that keeps these events; `today` is the day in UTC."""
    keeper = Keeper(today)
    return Service(name=name, handlers={RawEvent.named(event): keeper.keep for event in events})


class Keeper:
    """Writes events into the partition of the day, and sees to it that the coming days have one."""

    def __init__(self, today: Callable[[], date]) -> None:
        self._today = today
        self._add_at = today()

    async def keep(self, events: Sequence[Received[RawEvent]], tx: Transaction) -> list[Event]:
        """Keep events of one type; publish nothing."""
        if (today := self._today()) >= self._add_at:
            await tx.execute(ADD_DAYS)
            self._add_at = today + _DAYS_BETWEEN
        await tx.copy(TABLE, COLUMNS, [_row(received) for received in events])
        return []


def _row(received: Received[RawEvent]) -> tuple[object, ...]:
    event = received.event
    return event.TYPE, event.source, received.id, event.version, event.key, received.time, event.data
