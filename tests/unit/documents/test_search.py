"""Documents found by an OpenSearch: told once they are kept, taken out for good, and never in an upload's way.

The OpenSearch is a double that knows the requests of `search.py` alone; ORDERFLOW_TEST_OPENSEARCH names a real one.
"""

import os
import ssl
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from obstore.store import LocalStore

from orderflow_documents.bucket import Bucket
from orderflow_documents.search import ObjectEraser, SearchAwayError, SearchIndex, open_search
from orderflow_runtime import MisconfiguredError, OutcomeUnknownError, Settings
from support.flow.open_search import Double
from support.runtime.sample_service import sample_config
from support.tools.certificates import certificates


@pytest.fixture
async def double() -> AsyncIterator[tuple[Double, str]]:
    """The double, or nothing where a real one is named, and the index's address."""
    if real := os.environ.get("ORDERFLOW_TEST_OPENSEARCH"):
        url = f"{real}/documents-{uuid.uuid4().hex}"
        yield Double(), url
        async with aiohttp.ClientSession() as http:
            await http.delete(url)
        return
    found = Double()
    async with found.served() as url:
        yield found, url


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    """Where objects are."""
    return Bucket(LocalStore(tmp_path))


async def refresh(url: str) -> None:
    """Have what was told be found."""
    async with aiohttp.ClientSession() as http:
        await http.post(f"{url}/_refresh")


def asked(name: str, order: str = "o1", media_type: str = "text/plain") -> dict[str, str]:
    """Give the request of a call."""
    return {"object": name, "order": order, "media_type": media_type}


async def test_what_was_taken_out_stays_out_whatever_comes_late(double: tuple[Double, str], bucket: Bucket) -> None:
    """A call that is repeated after its document has left finds no object, and one under way an older version."""
    _, url = double
    search = SearchIndex(url, bucket, "english")
    await bucket.put("a.1", b"two parcels")
    await search.perform(asked("a.1"), "k")
    await search.perform(asked("a.1"), "k")
    await refresh(url)
    assert await search.find("parcels", "") == ["a.1"]
    await ObjectEraser(bucket, search).perform({"object": "a.1"}, "k")
    await search.perform(asked("a.1"), "k")
    await bucket.put("a.1", b"two parcels")  # as one sees it who read the object before it was gone
    await search.perform(asked("a.1"), "k")
    await ObjectEraser(bucket, search).perform({"object": "a.1"}, "k")
    await refresh(url)
    assert await search.find("parcels", "") == []


async def test_what_has_no_words_is_not_told(double: tuple[Double, str], bucket: Bucket) -> None:
    """A picture, and a document whose object is gone: the call is done, and there is nothing to repeat."""
    found, url = double
    search = SearchIndex(url, bucket, "simple")
    await bucket.put("p.1", b"\x89PNG")
    assert await search.perform(asked("p.1", media_type="image/png"), "k") == {}
    assert await search.perform(asked("gone"), "k") == {}
    assert found.texts == {}


@pytest.mark.skipif("ORDERFLOW_TEST_OPENSEARCH" in os.environ, reason="a real one is not told to fail")
async def test_while_it_does_not_answer_calls_are_repeated_and_a_search_says_so(
    double: tuple[Double, str], bucket: Bucket
) -> None:
    """Full, or not there at all: the outcome is not known, and who asks can ask Postgres."""
    found, url = double
    await bucket.put("a.1", b"two parcels")
    found.fault = True
    for place in (url, "http://127.0.0.1:9/docs"):
        search = SearchIndex(place, bucket, "simple")
        with pytest.raises(OutcomeUnknownError):
            await search.perform(asked("a.1"), "k")
        with pytest.raises(OutcomeUnknownError):
            await ObjectEraser(bucket, search).perform({"object": "a.1"}, "k")
        with pytest.raises(SearchAwayError):
            await search.find("parcels", "")
    assert await bucket.get("a.1") == b"two parcels", "no object goes whose words are still found"


@pytest.mark.skipif("ORDERFLOW_TEST_OPENSEARCH" not in os.environ, reason="the double knows no words")
async def test_words_are_asked_for_as_postgres_is_asked(double: tuple[Double, str], bucket: Bucket) -> None:
    """Reduced by the language, in phrases, one or the other, and without; of one order."""
    _, url = double
    search = SearchIndex(url, bucket, "english")
    for name, order, text in (
        ("a", "o1", "three parcels, one dented"),
        ("b", "o2", "one letter or none"),
        ("c", "o2", "x"),
    ):
        await bucket.put(name, text.encode())
        await search.perform(asked(name, order), "k")
    await refresh(url)
    wanted = {
        "parcel": "a",
        "one": "ab",
        "one -dented": "b",
        "parcel or x": "ac",
        '"one dented"': "a",
        "dented letter": "",
    }
    for words, names in wanted.items():
        assert sorted(await search.find(words, "")) == list(names), words
    assert await search.find("one", "o2") == ["b"]


async def test_it_is_reached_by_tls_and_password_and_no_other_way(bucket: Bucket, tmp_path: Path) -> None:
    """The authority and the password stand in variables, as Secrets give them; without either nothing is told."""
    authority, key, certificate = certificates()
    tls, pem = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), tmp_path / "server.pem"
    pem.write_text(key + certificate)
    tls.load_cert_chain(pem)
    found = Double()
    found.login = aiohttp.encode_basic_auth("documents", "s3cret")
    await bucket.put("a.1", b"two parcels")
    async with found.served(tls) as url:
        login = {"DOCUMENTS_SEARCH_USER": "documents", "DOCUMENTS_SEARCH_PASSWORD": "s3cret"}
        trust = {"DOCUMENTS_SEARCH_CA": authority}
        for env in (login, trust, trust | login | {"DOCUMENTS_SEARCH_PASSWORD": "other"}):
            with pytest.raises(OutcomeUnknownError):
                await opened(bucket, {"DOCUMENTS_SEARCH": url} | env).perform(asked("a.1"), "k")
        assert found.texts == {}
        await opened(bucket, {"DOCUMENTS_SEARCH": url} | trust | login).perform(asked("a.1"), "k")
        assert [one["text"] for one in found.texts.values()] == ["two parcels"]


def opened(bucket: Bucket, env: dict[str, str]) -> SearchIndex:
    """Open what an environment names."""
    search = open_search(Settings(sample_config(), env), bucket, "simple")
    assert search is not None
    return search


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"DOCUMENTS_SEARCH": "search:9200"}, "DOCUMENTS_SEARCH"),
        ({"DOCUMENTS_SEARCH": "https://search:9200"}, "names no index"),
        ({"DOCUMENTS_SEARCH": "https://search:9200/docs", "DOCUMENTS_SEARCH_USER": "a"}, "DOCUMENTS_SEARCH_PASSWORD"),
        ({"DOCUMENTS_SEARCH": "https://search:9200/docs", "DOCUMENTS_SEARCH_CA": "x"}, "no certificate"),
    ],
)
def test_a_wrong_variable_is_named(env: dict[str, str], words: str, bucket: Bucket) -> None:
    """Before anything starts."""
    with pytest.raises(MisconfiguredError, match=words):
        open_search(Settings(sample_config(), env), bucket, "simple")
