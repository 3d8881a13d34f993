"""Full-text search by an OpenSearch, where the environment names one; Postgres' own stands in while it does not answer.

What is kept is indexed by a call of the runtime, asked for in the transaction that keeps it, repeated until OpenSearch
answers: no upload waits for it, and none is forgotten. The index holds words by the name of an object, which no other
upload has, without the text; who finds something looks up in Postgres whether it is still kept.
Source: OpenSearch's REST API, versions 2 and 3.
"""

import re
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp

from orderflow_documents.bucket import Bucket, BucketError, MissingObjectError
from orderflow_documents.text import text_of
from orderflow_runtime import MisconfiguredError, OutcomeUnknownError, Settings, required, web_address

URL = "DOCUMENTS_SEARCH"
_USER, _PASSWORD, _AUTHORITY = "DOCUMENTS_SEARCH_USER", "DOCUMENTS_SEARCH_PASSWORD", "DOCUMENTS_SEARCH_CA"
_TIMEOUT = aiohttp.ClientTimeout(total=20)
"""Shorter than the minute for which OpenSearch remembers the version of what was deleted (`index.gc_deletes`)."""
_MOST_FOUND = 10_000
_INDEXED, _DELETED = 1, 2
"""Versions of an object in the index: whatever comes late, what was taken out stays out."""
_ANALYZERS = frozenset(
    (
        *("arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "estonian", "finnish", "french"),
        *("german", "greek", "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian", "norwegian"),
        *("portuguese", "romanian", "russian", "spanish", "swedish", "turkish"),
    )
)
"""Languages that OpenSearch reduces words of; those of any other are searched as they are written."""


class SearchAwayError(Exception):
    """OpenSearch does not answer, or not as it should; `str()` says how."""


class SearchIndex:
    """The index `url`, such as https://search:9200/shop-documents, of texts whose objects are in a bucket.

    `login` is the Authorization that it asks for.
    """

    def __init__(
        self,
        url: str,
        bucket: Bucket,
        language: str,
        login: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._url, self._bucket, self._tls = url.rstrip("/"), bucket, tls
        self._headers = {"authorization": login} if login else {}
        self._analyzer = language if language in _ANALYZERS else "standard"
        self._is_there = False

    async def perform(self, request: Mapping[str, Any], idempotency_key: str) -> dict[str, Any]:
        """Index the request's document; raise `OutcomeUnknownError`. One whose object is gone has left meanwhile."""
        try:
            await self.index(request["object"], request["order"], request["media_type"])
        except (SearchAwayError, BucketError) as error:
            raise OutcomeUnknownError(str(error)) from None
        return {}

    async def lookup(self, idempotency_key: str) -> dict[str, Any] | None:
        """Return None: to index once more does no harm."""
        return None

    async def index(self, name: str, order: str, media_type: str) -> None:
        """Index a document that has words, by its object's name; raise `SearchAwayError` or `BucketError`."""
        try:
            text = text_of(await self._bucket.get(name), media_type)
        except MissingObjectError:
            return
        if not text:
            return
        await self._make()
        await self._ask("PUT", _place(name, _INDEXED), {"order": order, "text": text}, HTTPStatus.CONFLICT)

    async def remove(self, name: str) -> None:
        """Take a document out, be it there or not; raise `SearchAwayError`."""
        await self._ask("DELETE", _place(name, _DELETED), None, HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND)

    async def find(self, words: str, order: str) -> list[str]:
        """Return the objects that match best, of one order or of all, in any sequence; raise `SearchAwayError`."""
        matching = {
            "query": _query(words),
            "fields": ["text"],
            "default_operator": "and",
            "flags": "OR|NOT|PHRASE|WHITESPACE",
        }
        query: dict[str, Any] = {"must": [{"simple_query_string": matching}]}
        if order:
            query["filter"] = [{"term": {"order": order}}]
        asked = {"size": _MOST_FOUND, "_source": False, "query": {"bool": query}}
        answer = await self._ask("POST", "/_search", asked, HTTPStatus.NOT_FOUND)
        return [hit["_id"] for hit in answer.get("hits", {}).get("hits", ())]

    async def _make(self) -> None:
        """Make the index where it is not there: words alone are kept of a text."""
        if self._is_there:
            return
        text = {"type": "text", "analyzer": self._analyzer}
        kept = {"dynamic": False, "_source": {"excludes": ["text"]}}
        told = {"mappings": kept | {"properties": {"order": {"type": "keyword"}, "text": text}}}
        await self._ask("PUT", "", told, HTTPStatus.BAD_REQUEST)  # it is there, be it by another of us
        self._is_there = True

    async def _ask(self, method: str, place: str, told: Any, *also: HTTPStatus) -> dict[str, Any]:
        """Return the answer, of a good status or one of `also`; raise `SearchAwayError`."""
        try:
            async with (
                aiohttp.ClientSession(headers=self._headers, timeout=_TIMEOUT) as http,
                http.request(method, f"{self._url}{place}", json=told, ssl=self._tls or True) as answer,
            ):
                if answer.ok or answer.status in also:
                    found: dict[str, Any] = await answer.json()
                    return found
                words = (await answer.text())[:200]
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise SearchAwayError(f"OpenSearch: {error or type(error).__name__}") from None
        raise SearchAwayError(f"OpenSearch answers {answer.status}: {words}")


class ObjectEraser:
    """The port that removes a document's object, and takes its words out of the index before."""

    def __init__(self, bucket: Bucket, search: SearchIndex) -> None:
        self._bucket, self._search = bucket, search

    async def perform(self, request: Mapping[str, Any], idempotency_key: str) -> dict[str, Any]:
        """Remove both; raise `OutcomeUnknownError`."""
        try:
            await self._search.remove(request["object"])
        except SearchAwayError as error:
            raise OutcomeUnknownError(str(error)) from None
        return await self._bucket.perform(request, idempotency_key)

    async def lookup(self, idempotency_key: str) -> dict[str, Any] | None:
        """Return None: to remove once more does no harm."""
        return None


def open_search(settings: Settings, bucket: Bucket, language: str) -> SearchIndex | None:
    """Return the index that the environment names; None where it names none. Raise `MisconfiguredError`."""
    url = web_address(settings.env, URL)
    if not url:
        return None
    if url.count("/") < 3 or url.endswith("/"):
        raise MisconfiguredError(f"{URL}={url} names no index: write it behind the host, such as /shop-documents")
    user = settings.env.get(_USER)
    login = aiohttp.encode_basic_auth(user, required(settings.env, _PASSWORD)) if user else None
    return SearchIndex(url, bucket, language, login, _authority(settings.env.get(_AUTHORITY)))


def _authority(certificate: str | None) -> ssl.SSLContext | None:
    try:
        return ssl.create_default_context(cadata=certificate) if certificate else None
    except (ssl.SSLError, ValueError):
        raise MisconfiguredError(f"{_AUTHORITY} holds no certificate in PEM") from None


def _place(name: str, version: int) -> str:
    return f"/_doc/{quote(name, safe='')}?version={version}&version_type=external_gte"


def _query(words: str) -> str:
    """Return what is asked in OpenSearch's simple syntax: `or` between words is its `|`, but for those in a phrase."""
    parts = words.split('"')
    parts[::2] = [re.sub(r"(?i)(?<!\S)or(?!\S)", "|", part) for part in parts[::2]]
    return '"'.join(parts)
