"""The documents service as a process on a real Kafka and Postgres: object, event and words come together, and go so."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from orderflow_cli.servers.kafka import Kafka
from orderflow_documents.events import DocumentRemoved, DocumentStored
from orderflow_model.loading.load import parse_flow
from support.flow.fleet import Fleet, until
from support.flow.flows import shop
from support.flow.open_search import Double
from support.records.poison import read_topic

PAGE = Path(__file__).parents[3] / "docs" / "documents.md"
DELIVERY = "Delivered to the neighbour's garage; three parcels, one dented."
Answer = tuple[int, Any]


@dataclass
class Office:
    """The service's process, its store, and one client."""

    fleet: Fleet
    http: aiohttp.ClientSession
    objects: Path
    name: str = "documents-0"

    async def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send a request; give status and JSON, or bytes where the answer is none."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(method, self.fleet.url(self.name, path), data=body, headers=named) as answer:
            text = await answer.read()
            is_json = "json" in answer.headers.get("content-type", "")
            return answer.status, (await answer.json(content_type=None) if is_json else text)

    async def note(self, order: str, text: str, key: str = "k") -> Answer:
        """Send a note."""
        return await self.ask(
            "POST", f"/orders/{order}/notes", text.encode(), content_type="text/plain", idempotency_key=key
        )

    async def found(self, query: str) -> list[str]:
        """Give the ids that a search finds."""
        status, answer = await self.ask("GET", f"/documents?{query}")
        assert status == 200, answer
        return [one["id"] for one in answer["documents"]]

    async def said(self, kind: type[Any]) -> list[Any]:
        """Give the events of a type, repeats left out."""
        topic = f"{self.fleet.flow.metadata.name}.{kind.TYPE.lower().replace('_', '-')}"
        records = await read_topic(self.fleet.bootstrap, topic)
        first = {dict(record.headers)["ce_id"]: record for record in records}
        return [kind.decode(record.value, 1) for record in first.values()]

    async def end_the_day(self) -> None:
        """Let all timers come due."""
        await self.fleet.fetch("UPDATE documents.timers SET due_at = now() RETURNING key")

    def kept(self) -> list[str]:
        """Give the names of the objects that are there."""
        return sorted(path.name for path in self.objects.iterdir())


@pytest.fixture
async def office(kafka: Kafka, database: str, flow_name: str, scratch: Path) -> AsyncIterator[Office]:
    """The service runs, with a folder as its store."""
    async with opened(kafka, database, flow_name, scratch) as office:
        yield office


@asynccontextmanager
async def opened(kafka: Kafka, database: str, flow_name: str, scratch: Path, **env: str) -> AsyncIterator[Office]:
    """Start the service, told this besides."""
    (folder := scratch / flow_name).mkdir()
    document = shop(flow_name)
    told = yaml.safe_load(PAGE.read_text().split("```yaml\n")[1].split("```")[0])["spec"]
    document["spec"] = {k: v for k, v in document["spec"].items() if k in ("kafka", "database")} | told
    fleet = Fleet(parse_flow(document), kafka.bootstrap, database, folder)
    fleet.extra_env |= {"DOCUMENTS_STORE": str(folder / "objects"), "DOCUMENTS_LANGUAGE": "english", **env}
    await fleet.prepare()
    try:
        async with aiohttp.ClientSession() as http:
            name = fleet.start("documents")
            await fleet.until_ready(name)
            yield Office(fleet, http, folder / "objects", name)
    finally:
        fleet.stop()


async def test_an_index_hears_of_each_document_once_it_answers_and_forgets_what_is_removed(
    kafka: Kafka, database: str, flow_name: str, scratch: Path
) -> None:
    """While it is away a note is kept, and found by Postgres; then it is told, and its words go with its object."""
    index = Double()
    index.fault = True
    async with index.served() as url, opened(kafka, database, flow_name, scratch, DOCUMENTS_SEARCH=url) as office:
        status, note = await office.note("o1", DELIVERY)
        assert (status, await office.found("q=parcels")) == (201, [note["id"]])
        index.fault = False
        await until(lambda: has(index, office.kept()), "the index has it")
        assert [one["text"] for one in index.texts.values()] == [DELIVERY]
        assert await office.found("q=whatever") == [note["id"]], "the double finds all by any words"
        index.texts["gone.1"] = {}
        assert await office.found("q=whatever") == [note["id"]], "what Postgres does not keep is not found"
        del index.texts["gone.1"]
        assert (await office.ask("DELETE", f"/documents/{note['id']}"))[0] == 204
        await until(lambda: has(index, []), "the index has it no more")
        await until(lambda: is_empty(office), "and its object is gone")


async def has(index: Double, names: list[str]) -> bool:
    """Tell whether an index has these objects."""
    return sorted(index.texts) == names


async def is_empty(office: Office) -> bool:
    """Tell whether no object is left."""
    return not office.kept()


async def test_a_document_is_kept_told_of_and_found_once(office: Office) -> None:
    """The event says where the bytes are and what they are; the same request again is the same document."""
    status, first = await office.note("o1", DELIVERY)
    again = await office.note("o1", DELIVERY)
    assert (status, again) == (201, (200, first))
    assert (await office.note("o1", "another text"))[0] == 422
    assert (await office.note("o2", DELIVERY))[0] == 201, "a key is its order's own"
    await until(lambda: told(office, DocumentStored, 2), "both are told of")
    event = next(one for one in await office.said(DocumentStored) if one.order_id == "o1")
    body = (office.objects / event.object).read_bytes()
    assert (body.decode(), event.size, event.sha256) == (DELIVERY, len(body), hashlib.sha256(body).hexdigest())
    assert (event.document_id, event.media_type) == (first["id"], "text/plain")
    assert await office.ask("GET", f"/documents/{first['id']}/content") == (200, body)
    assert len(office.kept()) == 2


async def test_texts_are_found_by_their_words_and_others_are_listed(office: Office) -> None:
    """English words by their stems, phrases, exclusions, by order and by pages; whatever is asked, an answer."""
    await office.note("o1", DELIVERY)
    await office.note("o2", "Left at the garage.\0 Nobody home")
    latin = "Das Päckchen".encode("latin-1")
    kind = "text/plain; charset=iso-8859-1"
    await office.ask("POST", "/orders/o3/documents", latin, content_type=kind, idempotency_key="k")
    pdf = await office.ask(
        "POST", "/orders/o3/documents", b"%PDF garage", content_type="application/pdf", idempotency_key="p"
    )
    one, two = await office.found("order=o1"), await office.found("order=o2")
    assert await office.found("q=garages") == two + one
    assert await office.found("q=parcel -nobody") == one
    assert await office.found('q="neighbour garage"') == []
    assert await office.found("q=garage&order=o2") == two
    assert len(await office.found("q=päckchen")) == 1
    assert set(await office.found("order=o3")) > {pdf[1]["id"]}
    assert await office.found("q=garage&limit=1") == two
    assert await office.found(f"q=garage&limit=1&after={two[0]}") == one
    for odd in ("q=the", "q=)(%26|!:*'", 'q="', "q=%00x", "q=x&after=none", "q=x&limit=x", "", "q=" + "x" * 501):
        status, _ = await office.ask("GET", f"/documents?{odd}")
        assert status in (200, 400), odd


async def test_what_was_announced_and_never_kept_is_gone_after_a_day(office: Office) -> None:
    """The process dies when the object is written and the event is not: nobody hears of it, and the object goes."""
    await office.note("o0", "stays")
    document, name = str(uuid.uuid4()), "left-over"
    (office.objects / name).write_bytes(b"left over")
    await office.fleet.fetch(
        "INSERT INTO documents.documents (id, order_id, kind, object, sha256, size, media_type) "
        "VALUES ($1, 'o1', 'NOTE', $2, 'x', 1, 'text/plain') RETURNING id",
        document,
        name,
    )
    await office.fleet.fetch(
        "INSERT INTO documents.timers (key, name, topic, partition, due_at, payload) SELECT $1, 'leave', s.topic, "
        "s.partition, now(), '{}' FROM (SELECT topic, partition FROM documents.offsets LIMIT 1) AS s RETURNING key",
        document,
    )
    await until(lambda: name not in office.kept(), "the object is gone")
    await until(lambda: row_is_gone(office, document), "so is its row")
    assert len(office.kept()) == 1
    assert await office.said(DocumentRemoved) == []


async def test_an_upload_that_broke_off_goes_on_when_it_is_repeated(office: Office) -> None:
    """While the store takes nothing the answer is 503 and nothing is found; then the same request keeps it, once."""
    office.objects.rmdir()
    office.objects.write_text("no folder")
    broken = await office.note("o1", DELIVERY)
    assert (broken[0], await office.found("order=o1")) == (503, [])
    office.objects.unlink()
    office.objects.mkdir()
    office.fleet.kill(office.name)
    office.fleet.start("documents")
    await office.fleet.until_ready(office.name)
    assert (await office.note("o1", DELIVERY))[0] == 201
    await until(lambda: told(office, DocumentStored, 1), "it is told of")
    assert len(office.kept()) == 1


async def test_a_removed_document_is_gone_with_object_words_and_row(office: Office) -> None:
    """Found no more at once, then gone everywhere, and told of; the same key begins a new one afterwards."""
    _, one = await office.note("o1", DELIVERY)
    assert (await office.ask("DELETE", f"/documents/{one['id']}"))[0] == 204
    assert await office.found("q=garage") == []
    assert (await office.ask("GET", f"/documents/{one['id']}/content"))[0] == 404
    await until(lambda: row_is_gone(office, one["id"]), "its row is gone")
    assert (office.kept(), (await office.ask("DELETE", f"/documents/{one['id']}"))[0]) == ([], 404)
    await until(lambda: told(office, DocumentRemoved, 1), "it is told of")
    assert (await office.note("o1", DELIVERY))[0] == 201
    assert len(office.kept()) == 1


async def test_documents_of_an_erased_person_leave_with_object_and_words(office: Office) -> None:
    """By the service's function for `orderflow privacy erase`: his are gone and told of, another's stay."""
    _, his = await office.note("his", DELIVERY)
    _, other = await office.note("other", DELIVERY, "k2")
    erase = "SELECT documents.erase_person('c1', ARRAY['his'], 'p', 'm') AS count"
    assert [row["count"] for row in await office.fleet.fetch(erase)] == [1]
    assert await office.found("q=garage") == [other["id"]]
    await until(lambda: row_is_gone(office, his["id"]), "its row is gone")
    await until(lambda: told(office, DocumentRemoved, 1), "it is told of")
    assert len(office.kept()) == 1
    assert [row["count"] for row in await office.fleet.fetch(erase)] == [0]


async def told(office: Office, kind: type[Any], number: int) -> bool:
    """Whether so many events of a type were said."""
    return len(await office.said(kind)) == number


async def row_is_gone(office: Office, document: str) -> bool:
    """Whether nothing is known of a document."""
    await asyncio.sleep(0)
    return not await office.fleet.fetch("SELECT id FROM documents.documents WHERE id = $1", document)
