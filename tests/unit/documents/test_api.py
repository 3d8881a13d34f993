"""The documents API before an intake in memory: who may ask, and what is refused before anything is written."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from obstore.store import LocalStore
from pydantic_core import from_json
from starlette.types import ASGIApp

from orderflow_documents import store
from orderflow_documents.__main__ import build
from orderflow_documents.api import build_app
from orderflow_documents.bucket import Bucket
from orderflow_documents.commands import Announce, Keep, Standing, State
from orderflow_documents.search import SearchAwayError
from orderflow_runtime import MisconfiguredError, Settings
from support.runtime.asgi import Answer, request
from support.runtime.sample_service import sample_config


class Intake:
    """Keeps whatever is announced, and finds the rows that it is given."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.rows: list[dict[str, Any]] = []
        self.asked: list[tuple[str, tuple[object, ...]]] = []

    async def submit(self, command: Any) -> Any:
        """Answer a command."""
        self.seen.append(command)
        return Standing(command.document, State.ANNOUNCED) if isinstance(command, Announce) else True

    async def submit_all(self, commands: Sequence[Any]) -> Sequence[Any]:
        """Answer many."""
        return [await self.submit(command) for command in commands]

    async def read(self, query: str, *args: object) -> Sequence[Mapping[str, Any]]:
        """Find the same for every question."""
        self.asked.append((query, args))
        return self.rows


def app(folder: Path, token: str | None = None) -> tuple[ASGIApp, Intake]:
    """Make the API over a folder."""
    intake = Intake()
    return build_app(intake, Bucket(LocalStore(folder)), "simple", token, lambda: "drawn"), intake


def written(folder: Path) -> list[Path]:
    """Give what the folder holds."""
    return list(folder.iterdir())


def empty(folder: Path) -> None:
    """Remove what the folder holds."""
    for file in written(folder):
        file.unlink()


async def send(api: ASGIApp, path: str, body: bytes = b"text", **headers: str) -> Answer:
    """Send a document."""
    given = {"content_type": "text/plain", "idempotency_key": "k", **headers}
    return await request(api, "POST", path, body, {name.replace("_", "-"): text for name, text in given.items()})


async def test_an_object_is_written_between_the_two_commands(tmp_path: Path) -> None:
    """Announced first, kept when the bytes are there, under the name that was announced."""
    api, intake = app(tmp_path)
    answer = await send(api, "/orders/o1/notes")
    announced, kept = intake.seen
    assert (answer.status, type(announced), type(kept)) == (201, Announce, Keep)
    assert (tmp_path / announced.document.object).read_bytes() == b"text"
    assert kept.document == announced.document


@pytest.mark.parametrize(
    ("path", "changes", "status"),
    [
        ("/orders/o1/notes", {"content_type": "application/pdf"}, 415),
        ("/orders/o1/documents", {"content_type": ""}, 415),
        ("/orders/o1/documents", {"content_type": "text/plain\u00e9"}, 415),
        ("/orders/o1/notes", {"idempotency_key": ""}, 400),
        ("/orders/o1/notes", {"body": b""}, 422),
        ("/orders/o1/notes", {"body": b"x" * 65_537}, 413),
        ("/orders/o1/documents", {"body": b"x" * (10 * 1024 * 1024 + 1)}, 413),
        ("/orders/o%2F..%2F/notes", {}, 404),
        ("/orders/" + "x" * 65 + "/notes", {}, 404),
    ],
)
async def test_what_cannot_be_kept_is_refused_before_it_is_begun(
    tmp_path: Path, path: str, changes: dict[str, Any], status: int
) -> None:
    """The answer says what to do; nothing was announced, nothing written."""
    api, intake = app(tmp_path)
    answer = await send(api, path, **changes)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert (intake.seen, written(tmp_path)) == ([], [])


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("document", ["a\0b", "x" * 501])
async def test_an_id_that_no_document_can_have_reaches_no_database(tmp_path: Path, method: str, document: str) -> None:
    """Postgres has no NUL in a text: that is the asker's mistake, and says so."""
    api, intake = app(tmp_path)
    answer = await request(api, method, f"/documents/{document}", b"", {})
    assert (answer.status, intake.seen) == (400, [])


async def test_a_document_whose_object_is_gone_is_not_found(tmp_path: Path) -> None:
    """Removed while somebody asks for it: asking again would not bring it back."""
    api, intake = app(tmp_path)
    await send(api, "/orders/o1/notes")
    intake.rows = [asdict(intake.seen[0].document) | {"stored_at": "2026-01-01"}]
    assert (await request(api, "GET", "/documents/x/content", b"", {})).status == 200
    empty(tmp_path)
    answer = await request(api, "GET", "/documents/x/content", b"", {})
    assert (answer.status, "retry-after" in answer.headers) == (404, False)


@pytest.mark.parametrize(
    "sent", ["", "Bearer", "Bearer wrong", "secret", "bearer secret", "Bearer secret2", "Bearer \u00e9"]
)
async def test_where_a_token_is_asked_for_nobody_goes_without(tmp_path: Path, sent: str) -> None:
    """Whatever the address; with the token it is open."""
    api, intake = app(tmp_path, "secret")
    for method, path in (
        ("POST", "/orders/o1/notes"),
        ("POST", "/orders/o1/documents"),
        ("GET", "/documents"),
        ("GET", "/documents/x"),
        ("DELETE", "/documents/x"),
        ("GET", "/documents/x/content"),
    ):
        answer = await request(api, method, path, b"text", {"content-type": "text/plain", "authorization": sent})
        assert answer.status == 401, path
    assert intake.seen == []
    assert (await send(api, "/orders/o1/notes", authorization="Bearer secret")).status == 201


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DOCUMENTS_STORE", ""),
        ("DOCUMENTS_STORE", "gs://bucket"),
        ("DOCUMENTS_STORE", "/proc/none/here"),
        ("DOCUMENTS_LANGUAGE", "klingon"),
        ("DOCUMENTS_KEEP_DAYS", "-1"),
        ("DOCUMENTS_KEEP_DAYS", "many"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, name: str, value: str) -> None:
    """The service is not built with it."""
    right = {"DOCUMENTS_STORE": str(tmp_path / "objects")}
    build(Settings(sample_config(), right))
    with pytest.raises(MisconfiguredError, match=name):
        build(Settings(sample_config(), right | {name: value}))


class Search:
    """An index that finds one object, unless it is away."""

    def __init__(self) -> None:
        self.is_away = False
        self.told: list[str] = []

    async def find(self, words: str, order: str) -> list[str]:
        """Find it."""
        if self.is_away:
            raise SearchAwayError("OpenSearch answers 429")
        return [f"{words}.{order}"]

    async def index(self, name: str, order: str, media_type: str) -> None:
        """Note what is told."""
        self.told.append(name)


async def test_words_are_found_by_the_index_that_is_named_and_by_postgres_while_that_is_away(tmp_path: Path) -> None:
    """Whether what the index finds is still kept, Postgres says either way."""
    intake, search = Intake(), Search()
    api = build_app(intake, Bucket(LocalStore(tmp_path)), "simple", None, lambda: "drawn", search)  # type: ignore[arg-type]  # a double
    for search.is_away in (False, True):
        assert (await request(api, "GET", "/documents?q=parcel&order=o1", b"", {})).status == 200
    assert [asked[0] for asked in intake.asked] == [store.OF_OBJECTS, store.MATCHING]
    assert intake.asked[0][1] == (["parcel.o1"], "", 50)


async def test_an_index_is_made_anew_page_by_page(tmp_path: Path) -> None:
    """A page of a hundred names the last, behind which to go on; a flow without an index says that it needs none."""
    intake, search = Intake(), Search()
    api = build_app(intake, Bucket(LocalStore(tmp_path)), "simple", None, lambda: "drawn", search)  # type: ignore[arg-type]  # a double
    row = {
        "order_id": "o1",
        "kind": "NOTE",
        "sha256": "0" * 64,
        "size": 1,
        "media_type": "text/plain",
        "state": "STORED",
    }
    intake.rows = [row | {"id": f"d{number:03}", "object": f"{number}"} for number in range(100)]
    answer = await request(api, "POST", "/documents/index?after=d", b"", {})
    assert (answer.status, from_json(answer.body)) == (200, {"indexed": 100, "next": "d099"})
    intake.rows = intake.rows[:3]
    assert from_json((await request(api, "POST", "/documents/index", b"", {})).body) == {"indexed": 3, "next": None}
    assert search.told == [*map(str, range(100)), "0", "1", "2"]
    assert (await request(app(tmp_path)[0], "POST", "/documents/index", b"", {})).status == 404
