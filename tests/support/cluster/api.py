"""A small client of the API server for tests: what it says is what the server said, nothing cached, nothing retried.

The tests and the doubles of kubelet and Strimzi use it; the operator under test has a client of its own.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp

from support.cluster.kinds import MADE, path_of

Json = dict[str, Any]
MANAGER = "tests"
_PATCH = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"
_AWAY = (aiohttp.ClientError, TimeoutError, ConnectionError)


class ApiError(Exception):
    """The API server refused; `status` is the HTTP code, the text its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Api:
    """An administrator's client; open it with `async with`."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self._http: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self._token}", "User-Agent": MANAGER}
        connector = aiohttp.TCPConnector(ssl=False, limit=0)
        self._http = aiohttp.ClientSession(headers=headers, connector=connector)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def call(
        self, verb: str, path: str, body: Json | None = None, kind: str = "", accept: str = "", **query: str
    ) -> Json:
        """Make one request and give the answer's object; ApiError when refused."""
        headers = {"Content-Type": kind or "application/json", "Accept": accept or "application/json"}
        data = json.dumps(body) if body is not None else None
        async with self._http.request(verb, self._url + path, data=data, headers=headers, params=query) as answer:
            if answer.status >= 400:
                raise ApiError(answer.status, (await answer.text())[:2000])
            return dict(await answer.json(content_type=None))

    async def create(self, body: Json, namespace: str = "") -> Json:
        """Create an object, fields that its schema does not know refused."""
        return await self.call("POST", path_of(body["kind"], namespace), body, fieldValidation="Strict")

    async def apply(self, body: Json, namespace: str = "", *, dry: bool = False) -> Json:
        """Create or change an object by server-side apply, unknown fields refused."""
        path = path_of(body["kind"], namespace, body["metadata"]["name"])
        query = {"fieldManager": MANAGER, "force": "true", "fieldValidation": "Strict"} | (
            {"dryRun": "All"} if dry else {}
        )
        return await self.call("PATCH", path, body, _APPLY, **query)

    async def replace(self, body: Json, namespace: str = "") -> Json:
        """Put an object in another's place; refused (409) when that has changed since its resourceVersion."""
        return await self.call("PUT", path_of(body["kind"], namespace, body["metadata"]["name"]), body)

    async def get(self, kind: str, namespace: str, name: str) -> Json | None:
        """Give an object, None where there is none."""
        try:
            return await self.call("GET", path_of(kind, namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def list(self, kind: str, namespace: str = "", labels: str = "") -> list[Json]:
        """Give all objects of a kind, none where the kind is not served."""
        try:
            found = await self.call("GET", path_of(kind, namespace), labelSelector=labels)
        except ApiError as error:
            if error.status == 404:
                return []
            raise
        version = found["apiVersion"]
        return [{"apiVersion": version, "kind": kind, **item} for item in found["items"]]

    async def made(self, namespace: str, labels: str = "") -> dict[tuple[str, str], Json]:
        """Give all that an operator may have made in a namespace, by kind and name."""
        lists = await asyncio.gather(*(self.list(kind, namespace, labels) for kind in MADE))
        return {(item["kind"], item["metadata"]["name"]): item for items in lists for item in items}

    async def patch(self, kind: str, namespace: str, name: str, change: Json, part: str = "") -> Json:
        """Merge a change into an object, or into its part `status`."""
        path = path_of(kind, namespace, name) + (f"/{part}" if part else "")
        return await self.call("PATCH", path, change, _PATCH)

    async def set_status(self, item: Json, status: Json) -> None:
        """Merge into an object's status; an object that is gone by now is none of ours."""
        meta = item["metadata"]
        try:
            await self.patch(item["kind"], meta["namespace"], meta["name"], {"status": status}, "status")
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    async def delete(self, kind: str, namespace: str, name: str, policy: str = "Background") -> None:
        """Ask for an object's deletion; one that is gone already is fine."""
        try:
            await self.call("DELETE", path_of(kind, namespace, name), propagationPolicy=policy)
        except ApiError as error:
            if error.status != 404:
                raise

    async def follow(self, kind: str, namespace: str, labels: str = "") -> AsyncIterator[tuple[str, Json]]:
        """Give (ADDED, MODIFIED or DELETED, object), first of what is there, without end; lists anew when it must."""
        path = path_of(kind, namespace)
        while True:
            try:
                found = await self.call("GET", path, labelSelector=labels)
                for item in found["items"]:
                    yield "ADDED", {"kind": kind, **item}
                async for change in self._watch(path, labels, found["metadata"]["resourceVersion"]):
                    yield change["type"], {"kind": kind, **change["object"]}
            except (ApiError, *_AWAY):
                await asyncio.sleep(0.3)  # the server restarts, or the kind is not served for now

    async def _watch(self, path: str, labels: str, version: str) -> AsyncIterator[Json]:
        query = {"watch": "true", "resourceVersion": version, "labelSelector": labels}
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._http.get(self._url + path, params=query, timeout=timeout, read_bufsize=2**20) as answer:
            buffer = b""
            async for chunk in answer.content.iter_any():
                *lines, buffer = (buffer + chunk).split(b"\n")
                for change in map(json.loads, lines):
                    if change["type"] == "ERROR":
                        return
                    yield change


@asynccontextmanager
async def background(*works: Any) -> AsyncIterator[None]:
    """Run coroutines beside the body; cancelled after it, and the first of their own errors raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for result in ended:
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result
