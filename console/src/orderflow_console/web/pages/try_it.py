"""*Try it*: place orders that fail as one likes, kill what runs, and watch the flow heal.

It is done by the `orderflow` command of this machine, and the page shows the very words.
"""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orderflow_console.queries.errors import InvalidQuestionError, ReadError
from orderflow_console.web.context import Console, console_of
from orderflow_console.web.fields import number
from orderflow_console.web.guard import action

_COMMAND_SECONDS = 60
_ORDERS = 1_000
_SERVERS = ("kafka", "postgres")
_FATES = ("payment", "shipping", "unknown")


async def show(request: Request) -> Response:
    """Show what can be tried."""
    return _page(console_of(request))


async def place(request: Request, form: Mapping[str, str]) -> Response:
    """Place sample orders, with the shares that are asked for failing."""
    orders = number(form, "orders", _ORDERS)
    fail = ",".join(f"{fate}={share}%" for fate in _FATES if (share := number(form, fate, 100)))
    words = ("orders", "sample", "--orders", str(orders), *(("--fail", fail) if fail else ()))
    return await _done(request, *words)


async def kill(request: Request, form: Mapping[str, str]) -> Response:
    """Kill a service, or Kafka or Postgres, of this run."""
    console, name = console_of(request), form.get("name", "")
    if name not in (*console.urls, *_SERVERS):
        raise InvalidQuestionError(f"Nothing of this flow is called {name}", "Choose from the list")
    return await _done(request, "kill", name)


async def _done(request: Request, *words: str) -> Response:
    """Run the command to its end; show what it said, or raise `ReadError` with that."""
    console = console_of(request)
    words = (*words, "--flow", console.flow.metadata.name)
    command = [*console.settings.config.command, *words, "--state", str(console.settings.config.state)]
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT)
    try:
        async with asyncio.timeout(_COMMAND_SECONDS):
            said, _ = await process.communicate()
    except TimeoutError:
        raise ReadError(f"orderflow {words[0]} took longer than {_COMMAND_SECONDS} s", "Look at the flow") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = said.decode(errors="replace").strip()
    if process.returncode != 0:
        raise ReadError(text.removeprefix("Error: ") or "The command failed", "Look at the flow")
    return _page(console, done=text, words=words)


def _page(console: Console, done: str | None = None, words: tuple[str, ...] = ()) -> Response:
    return console.render.page("try_it.html", names=(*console.urls, *_SERVERS), done=done, words=words, most=_ORDERS)


ROUTES = (
    Route("/try-it", show),
    action("/try-it/place", place),
    action("/try-it/kill", kill),
)
