"""Looks for a person in each file of a lake, in a folder or on S3, also in those that no table reads any more."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from orderflow_cli.privacy.search import Place, Wanted
from orderflow_console.queries.errors import ReadError
from orderflow_contracts.flow_key import PersonKey

if TYPE_CHECKING:  # pyarrow takes 0.1 s to import, which every other command would wait for
    from pyarrow import NativeFile
    from pyarrow.fs import FileSystem

_EVENT = "event_type="
_AT_ONCE = 1_000


class _File(NamedTuple):
    """A file below a lake, and what it is called there."""

    path: str
    name: str

    @property
    def table(self) -> str:
        """The table that it belongs to, or its own name."""
        return self.name.split("/_delta_log/")[0].split("/part-")[0]

    @property
    def event(self) -> str:
        """The event that its rows are of, by which the raw zone and the quarantine are parted; empty for any other."""
        found = [part for part in self.name.split("/") if part.startswith(_EVENT)]
        return unquote(found[0].removeprefix(_EVENT)) if found else ""


class LakeFiles:
    """All files below a lake's place: a folder, or a URL such as s3://bucket/path with AWS_… in the environment.

    Every method raises `ReadError` where the store does not answer.
    """

    def __init__(self, place: str, env: Mapping[str, str]) -> None:
        self.place = place
        with self._answering():
            self._store, self._root = _opened(place, env)

    def are_there(self) -> bool:
        """Return whether there is any."""
        return bool(self._all())

    def search(self, wanted: Wanted, person: PersonKey | None) -> list[Place]:
        """Look into each file; a place a table."""
        places: dict[str, Place] = {}
        for file in self._all():
            place = places.setdefault(file.table, Place(f"lake {file.table}"))
            try:
                for texts in self._rows(file):
                    place.look(b"\n".join(texts), wanted, person)
            except UnreadableError:
                place.unread.append(file.name)
        return list(places.values())

    def events(self) -> Iterator[tuple[str, bytes]]:
        """Yield event and data of all that is kept as it came."""
        for file in self._all():
            with suppress(UnreadableError):  # the search tells of it
                if file.event:
                    yield from ((file.event, text) for texts in self._rows(file) for text in texts)

    def _all(self) -> list[_File]:
        from pyarrow.fs import FileSelector

        with self._answering():
            found = self._store.get_file_info(FileSelector(self._root, recursive=True, allow_not_found=True))
        return [
            _File(info.path, info.path.removeprefix(self._root).lstrip("/"))
            for info in sorted(found, key=lambda info: info.path)
            if info.is_file
        ]

    def _rows(self, file: _File) -> Iterator[list[bytes]]:
        """Yield the texts of each row of a table's file, and each line of any other; raise `UnreadableError`."""
        with self._answering(), self._store.open_input_file(file.path) as opened:
            if file.path.endswith(".parquet"):
                yield from _table_rows(opened)
            else:
                yield from ([line] for line in opened.read().splitlines())

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            words = str(error).partition("\n")[0]
            raise ReadError(f"the lake at {self.place} cannot be read: {words}", "Run it again once it can") from None


class UnreadableError(Exception):
    """A file that is no table's, though it is called so, such as one whose writing was cut off."""


def _opened(place: str, env: Mapping[str, str]) -> tuple["FileSystem", str]:
    """Return the store of a place, told by the variables that the lake's own program is told by, and the path there."""
    from pyarrow.fs import FileSystem, LocalFileSystem, S3FileSystem

    if "://" not in place:
        return LocalFileSystem(), str(Path(place).absolute())
    url = urlsplit(place)
    if url.scheme not in ("s3", "s3a"):
        store, path = FileSystem.from_uri(place)
        return store, str(path)
    endpoint = urlsplit(env.get("AWS_ENDPOINT_URL", ""))
    store = S3FileSystem(
        access_key=env.get("AWS_ACCESS_KEY_ID"),
        secret_key=env.get("AWS_SECRET_ACCESS_KEY"),
        session_token=env.get("AWS_SESSION_TOKEN"),
        region=env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION"),
        scheme=endpoint.scheme or None,
        endpoint_override=endpoint.netloc or None,
        connect_timeout=10,
    )
    return store, f"{url.netloc}{url.path}".rstrip("/")


def _table_rows(file: "NativeFile") -> Iterator[list[bytes]]:
    from pyarrow import ArrowInvalid
    from pyarrow.parquet import ParquetFile

    try:
        for batch in ParquetFile(file).iter_batches(_AT_ONCE):
            yield from (list(_texts(row)) for row in batch.to_pylist())
    except ArrowInvalid:
        raise UnreadableError from None


def _texts(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict):
        for below in value.values():
            yield from _texts(below)
    elif isinstance(value, list):
        for below in value:
            yield from _texts(below)
    elif value is not None:
        yield value if isinstance(value, bytes) else str(value).encode()
