"""What addresses and forms say, read: each wrong text gets a sentence that names its field."""

import datetime as dt
from collections.abc import Iterable, Mapping

from orderflow_console.queries.errors import InvalidQuestionError

_MOST = 2_147_483_647


def fields(given: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Return those of the fields that say something, without the blanks around it."""
    return {name: text for name in names if (text := given.get(name, "").strip())}


def options(given: Mapping[str, str], names: Mapping[str, str]) -> list[str]:
    """Return the fields as options of a command; `names` says what each is called there."""
    return [word for name, option in names.items() if name in given for word in (option, given[name])]


def number(given: Mapping[str, str], name: str, most: int = _MOST) -> int:
    """Return a number from 0 on, 0 where there is none; raise `InvalidQuestionError` for another text."""
    text = given.get(name) or "0"
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= most):
        raise InvalidQuestionError(f"{name}: {text[:50]!r} is no number from 0 to {most}", "Correct it")
    return int(text)


def moment(given: Mapping[str, str], name: str) -> dt.datetime | None:
    """Return a time, UTC unless it says so, None where there is none; raise `InvalidQuestionError` for another text."""
    if not given.get(name):
        return None
    try:
        time = dt.datetime.fromisoformat(given[name])
    except ValueError:
        raise InvalidQuestionError(
            f"{name}: {given[name][:50]!r} is no time", "Write it as 2026-11-28T22:30, in UTC"
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=dt.UTC)
