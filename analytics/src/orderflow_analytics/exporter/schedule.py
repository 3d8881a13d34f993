"""When the next run is due, by a schedule: cron's five fields in UTC, as the resource takes them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

_STARTS = (0, 0, 1, 1, 0)
_ENDS = (59, 23, 31, 12, 6)
_YEARS = 9
"""The 29th of February comes that often at the latest."""


def next_time(schedule: str, after: datetime) -> datetime:
    """Return the next minute of a schedule; ValueError for one that never comes.

    As in cron, a day of the month and a day of the week that are both named hold each by itself.
    """
    fields = schedule.split(" ")
    minutes, hours, days, months, weekdays = (
        set(_numbers(field, first, last)) for field, first, last in zip(fields, _STARTS, _ENDS, strict=True)
    )
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    begin = after.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    day = begin.replace(hour=0, minute=0)
    for _ in range(366 * _YEARS):
        named, weekday = day.day in days, day.isoweekday() % 7 in weekdays
        if day.month in months and ((named or weekday) if either else (named and weekday)):
            due = (day.replace(hour=hour, minute=minute) for hour in sorted(hours) for minute in sorted(minutes))
            if (found := next((one for one in due if one >= begin), None)) is not None:
                return found
        day += timedelta(days=1)
    raise ValueError(f"{schedule} never comes")


def _numbers(field: str, first: int, last: int) -> Iterator[int]:
    for part in field.split(","):
        span, _, step = part.partition("/")
        low, _, high = (str(first), "-", str(last)) if span == "*" else span.partition("-")
        yield from range(int(low), int(high or low) + 1, int(step or 1))
