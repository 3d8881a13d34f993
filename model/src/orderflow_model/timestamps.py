"""Times as the Kubernetes API writes them, in objects and in a flow's status. Source: RFC 3339, section 5.6."""

from datetime import UTC, datetime


def read_time(text: str) -> datetime:
    """Return the instant in UTC, digits below a microsecond cut off.

    Raises `ValueError` where the text is no time, or does not say its offset from UTC.
    """
    time = datetime.fromisoformat(text.upper())
    if time.tzinfo is None:
        raise ValueError("a time without its offset from UTC")
    return time.astimezone(UTC)


def write_time(time: datetime) -> str:
    """Return an instant as Kubernetes' own `Time` is written: in UTC, in whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
