"""Which headers of a record are kept, for `work_item.py`: with parked events and with dead letters.

A record may carry any number of headers of any bytes. What is read is kept whatever else there is; of the rest, so
many as rows and records can well hold, with names that are text.
"""

from collections.abc import Collection, Sequence

from orderflow_contracts.envelope import ATTRIBUTES, CONTENT_TYPE, Header

MAX_HEADERS = 64
"""So many headers of a record are kept."""


def keep(headers: Sequence[Header], always: Collection[str]) -> tuple[Sequence[Header], list[str]]:
    """Return the headers to keep, attributes and those named in `always` first of all; and what was done to others.

    The latter by the kinds of docs/metrics.md, one each: a `header_name` that was written anew, a `header` left out.
    """
    if len(headers) <= MAX_HEADERS and "".join([name for name, _ in headers]).isascii():
        return headers, []
    read = {name: at for at, (name, _) in enumerate(headers) if _is_read(name, always)}
    spare = MAX_HEADERS - len(read)
    foreign = [at for at, (name, _) in enumerate(headers) if not _is_read(name, always)]
    kept = sorted([*read.values(), *foreign[: max(0, spare)]])
    odd = [name for at in kept if not _is_text(name := headers[at][0])]
    ignored = ["header_name"] * len(odd) + ["header"] * (len(headers) - len(kept))
    return [(_writable(headers[at][0]), headers[at][1]) for at in kept], ignored


def _is_read(name: str, always: Collection[str]) -> bool:
    return name in ATTRIBUTES or name in always or name.lower() == CONTENT_TYPE


def _is_text(name: str) -> bool:
    return name == _writable(name)


def _writable(name: str) -> str:
    """Return bytes of a name that are not UTF-8 as `\\xff`: clients, and our rows, have names as text alone."""
    return name if name.isascii() else name.encode(errors="surrogateescape").decode(errors="backslashreplace")
