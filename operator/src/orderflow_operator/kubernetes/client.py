"""The API server over HTTP: bytes in, bytes out, retried where a retry can help. `objects` and `reflector` call it.

A client library turns every answer into objects, which costs more than all the rest of a reconcile; here answers stay
bytes, of which callers read what they need.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import aiohttp
import kopf
import msgspec

from orderflow_operator.kubernetes.login import login

USER_AGENT = "orderflow-operator"
FIELD_MANAGER = "orderflow-operator"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"

_TRIES = 6
_FIRST_WAIT_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 5.0
_REQUEST_SECONDS = 30.0
_PARALLEL = 24
_PAGE = "200"


class ApiError(Exception):
    """The API server's refusal: HTTP status, its reason in one word, its message. Status 0: it did not answer."""

    def __init__(
        self, status: int, reason: str, message: str, retry_after: float = 0.0, causes: Collection[str] = ()
    ) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.causes = causes
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed a little later."""
        return self.status in (0, 401, 409, 410, 429) or self.status >= 500


class ListMetadata(msgspec.Struct, rename="camel"):
    """What stands at the head of a list: its version, and where the next page begins."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class Page(msgspec.Struct):
    """One page of a list; each item is left as it came."""

    metadata: ListMetadata
    items: list[msgspec.Raw]


class _Cause(msgspec.Struct):
    reason: str = ""


class _Details(msgspec.Struct):
    causes: list[_Cause] = []


class _Status(msgspec.Struct):
    reason: str = ""
    message: str = ""
    details: _Details | None = None


class Api:
    """A session with the API server; `async with Api() as api`."""

    def __init__(self, draw: random.Random | None = None) -> None:
        self._draw = draw or random.Random()  # noqa: S311 - it spreads retries, it guards nothing
        self._slots = asyncio.Semaphore(_PARALLEL)
        self._server: str
        self._headers: dict[str, str]
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        info = self._renew()
        connector = aiohttp.TCPConnector(ssl=info.as_ssl_context(), limit=0, keepalive_timeout=60)
        self._session = aiohttp.ClientSession(connector=connector, headers={"User-Agent": USER_AGENT})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(self, path: str, **query: str) -> bytes:
        """Read a path; raise `ApiError`."""
        return await self.request("GET", path, query)

    async def items(self, path: str, **query: str) -> AsyncIterator[msgspec.Raw]:
        """Read a list, page by page; raise `ApiError`."""
        after = ""
        while True:
            page = await self.page(path, after, **query)
            for item in page.items:
                yield item
            after = page.metadata.continue_
            if not after:
                return

    async def page(self, path: str, after: str, **query: str) -> "Page":
        """Read one page of a list: the first, or the one after another's `continue`; raise `ApiError`."""
        answer = await self.get(path, limit=_PAGE, **({"continue": after} if after else {}), **query)
        return msgspec.json.decode(answer, type=Page)

    async def post(self, path: str, body: object) -> bytes:
        """Create an object; raise `ApiError`."""
        return await self.request("POST", path, {"fieldManager": FIELD_MANAGER}, body, "application/json")

    async def try_out(self, path: str, body: object) -> None:
        """Have an object's creation judged, without making it; raise `ApiError`."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true", "dryRun": "All"}
        await self.request("PATCH", path, query, body, APPLY, conflicts_pass=True)

    async def apply(self, path: str, body: object, manager: str = FIELD_MANAGER) -> bytes:
        """Apply what a manager owns of an object, server-side; raise `ApiError`."""
        query = {"fieldManager": manager, "force": "true"}
        return await self.request("PATCH", path, query, body, APPLY, conflicts_pass=True)

    async def create(self, path: str, body: Mapping[str, Any]) -> bytes:
        """Apply what we own of an object that is not there yet; raise `ApiError`, of status 409 where it is there.

        Its condition is a version that no object has, for etcd's first write is its revision 2. The API server looks at
        it where it finds an object, and not where it makes one.
        """
        metadata = body["metadata"] | {"resourceVersion": "1"}
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self.request("PATCH", path, query, {**body, "metadata": metadata}, APPLY)

    async def merge(self, path: str, body: object, *, conflicts_pass: bool = True) -> bytes:
        """Merge a change into an object; raise `ApiError`."""
        query = {"fieldManager": FIELD_MANAGER}
        return await self.request("PATCH", path, query, body, MERGE, conflicts_pass=conflicts_pass)

    async def delete(self, path: str, body: object) -> bytes:
        """Delete an object; raise `ApiError`."""
        return await self.request("DELETE", path, {}, body, "application/json")

    async def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: object = None,
        content: str = "",
        *,
        conflicts_pass: bool = False,
    ) -> bytes:
        """Send a request, again and again while the fault is passing; raise the last ApiError.

        `conflicts_pass`: nothing was made a condition, so that the same request succeeds once another's write is done.
        """
        data = None if body is None else msgspec.json.encode(body)
        wait = _FIRST_WAIT_SECONDS
        for attempt in range(_TRIES):
            try:
                return await self._once(method, path, query, data, content)
            except ApiError as error:
                if not error.passing or (error.status == 409 and not conflicts_pass) or attempt == _TRIES - 1:
                    raise
                if error.status == 401:
                    self._renew()
                pause = max(error.retry_after, wait * self._draw.uniform(0.5, 1.0))
            await asyncio.sleep(min(pause, _LONGEST_WAIT_SECONDS))
            wait *= 2
        raise AssertionError("unreachable")

    async def _once(self, method: str, path: str, query: Mapping[str, str], data: bytes | None, content: str) -> bytes:
        headers = self._headers | ({"Content-Type": content} if content else {})
        timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
        url = f"{self._server}{path}"
        try:
            async with (
                self._slots,
                self._session.request(method, url, params=query, data=data, headers=headers, timeout=timeout) as answer,
            ):
                payload = await answer.read()
                if answer.status >= 400:
                    raise _refusal(answer, payload)
                return payload
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(0, "Unreachable", str(error) or type(error).__name__) from error

    @asynccontextmanager
    async def stream(self, path: str, query: Mapping[str, str], seconds: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a stream of lines that lasts at most so long; raise `ApiError`."""
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=10)
        url = f"{self._server}{path}"
        try:
            async with self._session.get(url, params=query, headers=self._headers, timeout=timeout) as answer:
                if answer.status == 401:
                    self._renew()
                if answer.status >= 400:
                    raise _refusal(answer, await answer.read())
                yield _lines(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(0, "Unreachable", str(error) or type(error).__name__) from error

    def _renew(self) -> kopf.ConnectionInfo:
        """Read the credentials anew: the token may have been replaced."""
        info = login(kopf.OperatorSettings())
        self._server = info.server.rstrip("/")
        self._headers = {"Accept": "application/json"} | info.as_http_headers()
        return info


async def _lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in answer.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line:
                yield line


def _refusal(answer: aiohttp.ClientResponse, payload: bytes) -> ApiError:
    try:
        status = msgspec.json.decode(payload, type=_Status)
    except msgspec.DecodeError:
        status = _Status(message=payload[:200].decode(errors="replace"))
    after = answer.headers.get("Retry-After", "")
    wait = float(after) if after.isdigit() else 0.0
    causes = [cause.reason for cause in status.details.causes] if status.details else []
    return ApiError(answer.status, status.reason or answer.reason or "", status.message, wait, causes)
