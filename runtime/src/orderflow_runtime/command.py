"""What HTTP asks of a service: commands, their replies, and where endpoints hand them in.

Who commits them is `dispatch/commands.py`; their handlers stand in the service's table (`service.py`). Authors import
these names from `orderflow_runtime`. The examples go on from the service of `docs/services.md`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from orderflow_contracts.event import Event

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Command(Generic[R_co]):
    """A request from HTTP, and the type of its reply. Each kind of command is a subclass, most simply a dataclass.

    `NAME` is what its span is called; the key, what it belongs to.

    Example:
        >>> @dataclass(frozen=True)
        ... class Redeem(Command[str]):
        ...     NAME = "redeem"
        ...     order_id: str
        ...     points: int
        ...
        ...     @property
        ...     def key(self) -> str:
        ...         return self.order_id
        >>> Redeem("o1", 12).key
        'o1'
    """

    __slots__ = ()
    NAME: ClassVar[str]

    @property
    def key(self) -> str:
        """Return the key that it belongs to; commands of one key are handled one after the other."""
        raise NotImplementedError


C_co = TypeVar("C_co", bound=Command[Any], covariant=True)


@dataclass(frozen=True, slots=True)
class Submitted(Generic[C_co]):
    """A command as a handler sees it.

    Args:
        command: What the endpoint gave to `Intake.submit`.
        trace: The trace that it begins or carries on, to be kept with what it begins: a later command's reply names it.

    Example:
        >>> Submitted(Redeem("o1", 12)).key
        'o1'
    """

    command: C_co
    trace: str | None = None

    @property
    def key(self) -> str:
        """Return the command's key."""
        return self.command.key


@dataclass(frozen=True, slots=True)
class Reply(Generic[R_co]):
    """What a command handler answers.

    Args:
        value: What `Intake.submit` gives the endpoint, once the command is committed; a refusal is a value too.
        publish: The events to publish with the command.
        trace: The trace of an earlier command, where this one continues what that began; else it is this command's own.

    Example:
        >>> Reply("granted", publish=(PointsGranted(order_id="o1", points=12),)).value
        'granted'
    """

    value: R_co
    publish: tuple[Event, ...] = ()
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The answer to a command that made an event which its topic would not take. It is not committed.

    Args:
        detail: Which event, how large it is, and how large it may be.

    Example:
        >>> async def redeem(intake: Intake, order_id: str) -> int:
        ...     reply = await intake.submit(Redeem(order_id, 12))
        ...     return 413 if isinstance(reply, TooLarge) else 200
    """

    detail: str


class TooManyCommandsError(Exception):
    """More commands were handed in at once than ever are taken: split them. None of them was.

    Example:
        >>> async def redeem_all(intake: Intake, commands: Sequence[Redeem]) -> int:
        ...     try:
        ...         await intake.submit_all(commands)
        ...     except TooManyCommandsError:
        ...         return 413
        ...     return 200
    """


class UnavailableError(Exception):
    """The command was not committed, or whether it was is not known: the client may repeat it with its same key.

    Example:
        >>> async def redeem(intake: Intake, order_id: str) -> int:
        ...     try:
        ...         await intake.submit(Redeem(order_id, 12))
        ...     except UnavailableError:
        ...         return 503
        ...     return 200
    """


class Intake(Protocol):
    """Where HTTP endpoints hand in commands: those that come together share one transaction.

    Example:
        >>> from starlette.applications import Starlette
        >>> from starlette.requests import Request
        >>> from starlette.responses import JSONResponse
        >>> from starlette.routing import Route
        >>> def api(intake: Intake) -> Starlette:
        ...     async def redeem(request: Request) -> JSONResponse:
        ...         return JSONResponse(await intake.submit(Redeem(request.path_params["order"], 12)))
        ...
        ...     return Starlette(routes=[Route("/redeem/{order}", redeem, methods=["POST"])])
        >>> async def redeem(commands: Sequence[Submitted[Redeem]], tx: Transaction) -> list[Reply[str]]:
        ...     return [Reply(f"{one.command.points} points of {one.key}") for one in commands]
        >>> serving = replace(rewards, commands={Redeem: redeem}, app=api)
    """

    async def submit(self, command: Command[R]) -> R | TooLarge:
        """Run a command's handler and return its reply's value, after commit.

        Args:
            command: The command, of a kind in `Service.commands`.

        Raises:
            UnavailableError: It was not committed, or whether it was is not known.
        """
        ...

    async def submit_all(self, commands: Sequence[Command[R]]) -> Sequence[R | TooLarge]:
        """Run many commands and return their replies' values, in the order given.

        Args:
            commands: The commands, all of one kind, at most 5,000.

        Raises:
            TooManyCommandsError: They are more.
            UnavailableError: Some were not committed, or whether they were is not known.
        """
        ...

    async def read(self, query: str, *args: object) -> Sequence[Mapping[str, Any]]:
        """Query the service's own tables, outside any batch, and return the rows by column.

        Args:
            query: SQL, with `$1` for the first argument.
            args: The query's arguments.

        Raises:
            UnavailableError: Postgres does not answer.
        """
        ...
