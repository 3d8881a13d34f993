"""How payment reaches the provider: HTTP, where an answer is an outcome or unknown. Made by `__main__`.

Only what the provider surely said is an outcome. Silence, a torn connection, a server's error and an answer
that makes no sense are `OutcomeUnknownError`: the runtime then asks by the same key before it does anything else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
from pydantic import BaseModel, ValidationError

from orderflow_runtime import ForeignId, OutcomeUnknownError, set_call_attributes, trace_headers


class Body(BaseModel):
    """What is read of a provider's answer."""

    outcome: str | None = None
    reference: ForeignId | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """How one kind of call is said in HTTP: path, two outcomes, and the statuses that mean a refusal."""

    path: str
    done: str
    refused: str
    refusals: frozenset[int]


PAYMENTS = Terms("/payments", "captured", "declined", frozenset({402, 422}))
REFUNDS = Terms("/refunds", "refunded", "rejected", frozenset({409, 422}))


class Client:
    """One HTTP session to the provider at `url`; `timeout` is of a whole request, in seconds."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url.rstrip("/")
        self._server = _server(url)
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, bytes]:
        """Send one request and give status and body; raise `OutcomeUnknownError` when no whole answer comes."""
        if self._session is None or self._session.closed:  # made here: it belongs to the running loop
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        try:
            url = self._url + path
            set_call_attributes({"http.request.method": method, "url.full": url, **self._server})
            async with self._session.request(method, url, json=body, headers=trace_headers()) as response:
                set_call_attributes({"http.response.status_code": response.status})
                return response.status, await response.read()
        except (aiohttp.ClientError, OSError) as error:  # a timeout is an OSError
            raise OutcomeUnknownError(f"{method} {path}: {type(error).__name__} {error}") from error

    async def close(self) -> None:
        """Close the session's connections."""
        if self._session is not None:
            await self._session.close()


def _server(url: str) -> dict[str, str | int]:
    """Return the server's attributes in OpenTelemetry's names."""
    parts = urlsplit(url)
    known: dict[str, str | int | None] = {"server.address": parts.hostname, "server.port": parts.port}
    return {name: value for name, value in known.items() if value is not None}


class ProviderPort:
    """The `Port` of one kind of call."""

    def __init__(self, client: Client, terms: Terms) -> None:
        self._client = client
        self._terms = terms

    async def perform(self, request: Mapping[str, Any], idempotency_key: str) -> dict[str, Any]:
        """Ask the provider to do it; it acts once per key."""
        body = {"idempotencyKey": idempotency_key, **request}
        status, answer = await self._client.request("POST", self._terms.path, body)
        if status in (200, 201):
            return self._result(self._terms.done, answer)
        if status in self._terms.refusals:
            return self._result(self._terms.refused, answer)
        raise OutcomeUnknownError(f"POST {self._terms.path}: the provider answered {status}")

    async def lookup(self, idempotency_key: str) -> dict[str, Any] | None:
        """Ask what became of the key."""
        path = f"{self._terms.path}/{quote(idempotency_key, safe='')}"
        status, answer = await self._client.request("GET", path)
        if status == 404:
            return None
        if status == 200:
            return self._result(None, answer)
        raise OutcomeUnknownError(f"GET {path}: the provider answered {status}")

    def _result(self, expected: str | None, answer: bytes) -> dict[str, Any]:
        try:
            body = Body.model_validate_json(answer)
        except ValidationError as error:
            raise OutcomeUnknownError(f"the provider's answer makes no sense: {error.error_count()} errors") from None
        outcome = expected or body.outcome
        if outcome == self._terms.done and body.reference:
            return {"outcome": outcome, "reference": body.reference}
        if outcome == self._terms.refused and body.code:
            return {"outcome": outcome, "code": body.code}
        raise OutcomeUnknownError(f"the provider's answer makes no sense: outcome {outcome!r} lacks reference or code")
