"""Numbers of pages, as addresses say them."""

from starlette.requests import Request

from orderflow_console.queries.errors import ReadError


def page_number(request: Request, name: str) -> int:
    """Return a number from 0 of the address, 0 where there is none; raise `ReadError` for another text."""
    text = request.query_params.get(name, "0")
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ReadError(f"{name}={text[:50]!r} is no number", "Go back to the list")
    return int(text)
