"""One thing that was looked at."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from orderflow_cli.errors import LaptopError
from orderflow_console.queries.errors import ReadError


class State(StrEnum):
    """How it is: well, well enough with something missing, or in the way."""

    OK = "Ok"
    WARNING = "Warning"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, how it is, what was found, and what to do where it is not well."""

    name: str
    state: State
    found: str
    remedy: str = ""


def look(name: str, find: Callable[[], str], bad: State = State.FAILED) -> Check:
    """Return the check of what `find` tells; what it raises makes it `bad`, with the remedy that the error has."""
    try:
        return Check(name, State.OK, find())
    except (LaptopError, ReadError) as error:
        return Check(name, bad, error.problem, error.remedy)
    except OSError as error:
        return Check(name, bad, str(error), "Mend it, or use another folder")
