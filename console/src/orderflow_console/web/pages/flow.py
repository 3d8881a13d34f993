"""*Flow*: the whole picture, live; the same as a table; and each service by itself."""

import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from orderflow_console.queries.errors import UnknownError
from orderflow_console.queries.waiting import list_waiting
from orderflow_console.web.context import console_of
from orderflow_console.web.flow_cells import cells
from orderflow_console.web.flow_picture import draw


async def show(request: Request) -> Response:
    """Show the picture and the table."""
    console = console_of(request)
    figures = await console.watch.now()
    return console.render.page(
        "flow.html", picture=draw(console.flow), figures=figures, cells=cells(console.flow, figures)
    )


async def stream(request: Request) -> Response:
    """Send all cells every second, as server-sent events."""
    console = console_of(request)

    async def events() -> AsyncIterator[str]:
        async for figures in console.watch.follow():
            yield f"data: {json.dumps(cells(console.flow, figures))}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


async def show_service(request: Request) -> Response:
    """Show one service: what it hears and says, how far it is behind, and what it tries again."""
    console, name = console_of(request), request.path_params["name"]
    if name not in console.urls:
        raise UnknownError(f"The flow has no service {name}", f"It has {', '.join(console.urls)}")
    figures = await console.watch.now()
    waiting = await list_waiting(console.database, name)
    return console.render.page(
        "service.html",
        service=console.flow.service(name),
        waiting=waiting,
        figures=figures,
        cells=cells(console.flow, figures),
    )


ROUTES = (
    Route("/", show),
    Route("/flow/stream", stream),
    Route("/services/{name}", show_service),
)
