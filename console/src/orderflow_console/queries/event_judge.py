"""Judges events by an expression of CEL, in a process of its own that has so much time and memory and no more.

An expression can double a text with each step and loop in loops. Nothing in a process can stop that, so it is another
process that is stopped. Events come to it as people see them, what is personal masked: nobody finds what is not shown.

Source: the Common Expression Language, https://cel.dev.
"""

import datetime as dt
import resource
import subprocess
import sys
from contextlib import suppress
from selectors import EVENT_READ, DefaultSelector
from typing import Any

from pydantic_core import from_json, to_json

from orderflow_console.queries.errors import InvalidQuestionError

VARIABLES = ("data", "key", "type", "id", "source", "time", "partition", "offset", "headers")
"""What an expression can speak of."""
_SECONDS = 4  # of a processor, for all events of a page
_PATIENCE_SECONDS = 30
"""Only a machine that is very busy gives a process no seconds of its processors for so long."""
_MEMORY_BYTES = 400_000_000  # of addresses; the interpreter and CEL take an eighth
_MOST_CHARACTERS = 2_000
_REMEDY = f"Write one such as data.amount > 100 && type == 'ORDER_CREATED', of {', '.join(VARIABLES)}"


class EventJudge:
    """An expression, ready to judge events; a context manager. Raise `InvalidQuestionError` with its place if wrong."""

    def __init__(self, expression: str) -> None:
        if len(expression) > _MOST_CHARACTERS:
            raise InvalidQuestionError(f"the expression has more than {_MOST_CHARACTERS} characters", "Ask for less")
        command = [sys.executable, "-m", __name__]
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._selector = DefaultSelector()
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        self._selector.register(self._process.stdout, EVENT_READ)
        try:
            if problem := self._ask(expression):
                raise InvalidQuestionError(f"the expression cannot be read: {problem}", _REMEDY)
        except InvalidQuestionError:
            self.__exit__()
            raise

    def __enter__(self) -> "EventJudge":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._selector.close()

    def judge(self, event: dict[str, Any]) -> bool | str:
        """Return whether an event fits, or why that cannot be said of it, such as a field that it lacks."""
        answer = self._ask(event)
        return answer if isinstance(answer, str) else bool(answer)

    def _ask(self, question: Any) -> Any:
        assert self._process.stdin is not None  # noqa: S101 - they are pipes
        assert self._process.stdout is not None  # noqa: S101 - as above
        line = b""
        with suppress(BrokenPipeError):
            self._process.stdin.write(to_json(question, inf_nan_mode="constants") + b"\n")
            self._process.stdin.flush()
            if self._selector.select(_PATIENCE_SECONDS):
                line = self._process.stdout.readline()
        if not line:
            raise InvalidQuestionError("the expression takes too much time or memory", "Ask for something simpler")
        return from_json(line)


def main() -> None:
    """Read an expression and answer what is wrong with it, or nothing; then answer each event."""
    import cel  # not above: the console itself has no use for it

    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    program, problem = _compiled(cel, from_json(sys.stdin.buffer.readline()))
    _answer(problem)
    for line in sys.stdin.buffer:
        _answer(_judged(program, from_json(line)))


def _answer(found: bool | str | None) -> None:
    sys.stdout.buffer.write(to_json(found) + b"\n")
    sys.stdout.buffer.flush()


def _compiled(cel: Any, expression: str) -> tuple[Any, str | None]:
    try:
        return cel.compile(expression), None
    except ValueError as error:
        return None, f"at line:column {str(error).partition('<input>:')[2] or error}"


def _judged(program: Any, event: dict[str, Any]) -> bool | str:
    try:
        found = program.execute(event | {"time": dt.datetime.fromisoformat(event["time"])})
    except KeyError as error:
        return f"there is no {error.args[0]}"
    except Exception as error:  # of as many kinds as there are ways to be wrong about an event
        return str(error).partition(". ")[0][:200]
    return found if isinstance(found, bool) else "the expression is neither true nor false"


if __name__ == "__main__":
    main()
