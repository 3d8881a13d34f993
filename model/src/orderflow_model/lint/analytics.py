"""Lint of `spec.analytics`: the name that its service takes, and a schedule that never comes. Pure."""

from collections.abc import Iterator

from orderflow_model.findings import Finding
from orderflow_model.flow import OrderFlow
from orderflow_model.spec.analytics import ANALYTICS, SINK

_SCHEDULE = f"{ANALYTICS}.schedule"
_LONGEST = {month: 29 if month == 2 else 30 if month in (4, 6, 9, 11) else 31 for month in range(1, 13)}


def lint_analytics(flow: OrderFlow) -> Iterator[Finding]:
    """Yield what is wrong with how the flow keeps its events."""
    analytics = flow.spec.analytics
    if analytics is None:
        return
    for index, service in enumerate(flow.spec.services):
        if service.name == SINK:
            yield Finding(f"spec.services[{index}].name", f"{SINK} is what spec.analytics calls its own service")
    if analytics.schedule is not None:
        yield from _schedule(analytics.schedule)


def _schedule(schedule: str) -> Iterator[Finding]:
    _, _, day, month, weekday = fields = schedule.split(" ")
    backwards = [part for field in fields for part in field.split(",") if _is_backwards(part)]
    for part in backwards:
        yield Finding(_SCHEDULE, f"{part} goes backwards; write the smaller number first")
    if backwards or weekday != "*" or "*" in day:
        return
    first = min(int(part.partition("-")[0]) for part in day.split(","))
    if not any(_LONGEST[number] >= first for number in _numbers(month)):
        yield Finding(_SCHEDULE, f"there is no day {first} in month {month}, so it never comes")


def _is_backwards(part: str) -> bool:
    first, _, last = part.partition("/")[0].partition("-")
    return bool(last) and int(first) > int(last)


def _numbers(field: str) -> set[int]:
    """Return the months that a field names."""
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = ("1", "-", "12") if span == "*" else span.partition("-")
        found.update(range(int(first), int(last or first) + 1, int(step or 1)))
    return found
