"""Lists and watches of the kinds the operator makes; they fill the store and tell nothing but that a flow changed.

A watch lasts half a minute at most: one that has fallen silent, or that a proxy holds open, is replaced by then. Where
the last one ended the next begins, by the resource version, so that a replacement costs one request.
"""

import asyncio
import logging
import random
import sys

import msgspec

from orderflow_operator.kubernetes.cache import FlowKey, ObjectCache
from orderflow_operator.kubernetes.cached_object import decode_object
from orderflow_operator.kubernetes.client import Api, ApiError
from orderflow_operator.kubernetes.kinds import Kind
from orderflow_operator.kubernetes.labels import FLOW_LABEL, MANAGED_BY, MANAGED_BY_LABEL

logger = logging.getLogger(__name__)

SELECTOR = f"{MANAGED_BY_LABEL}={MANAGED_BY},{FLOW_LABEL}"

_WATCH_SECONDS = 25
_GRACE_SECONDS = 5
_PAUSE_SECONDS = 1.0
_UNSERVED_PAUSE_SECONDS = 10.0


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _VersionGoneError(Exception):
    """The version to go on from is no longer there: list again."""


class Reflector:
    """One kind in one namespace, or in all. `served` tells whether its API is there, `listed` that this is known."""

    def __init__(self, api: Api, store: ObjectCache, kind: Kind, namespace: str | None) -> None:
        self.kind = kind
        self.served = False
        self.listed = asyncio.Event()
        self._api = api
        self._cache = store
        self._namespace = namespace
        self._path = kind.path(namespace)

    async def run(self) -> None:
        """List and watch until cancelled."""
        version = ""
        while True:
            try:
                version = await self._watch(version or await self._list())
            except _VersionGoneError:
                version = ""
            except ApiError as error:
                version = await self._failed(error, version)

    async def _failed(self, error: ApiError, version: str) -> str:
        if error.status == 404:
            self.served = False
            self._cache.retain(self.kind, self._namespace, set(), sys.maxsize)
            self.listed.set()
            await asyncio.sleep(_UNSERVED_PAUSE_SECONDS)
            return ""
        if error.status != 410:
            logger.warning("watching %s: %s", self._path, error)
            await asyncio.sleep(_PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - spreads, guards nothing
        return version if error.status == 0 or error.status == 429 else ""

    async def _list(self) -> str:
        present: set[tuple[FlowKey, str]] = set()
        after = ""
        while True:
            page = await self._api.page(self._path, after, labelSelector=SELECTOR)
            for item in page.items:
                metadata = decode_object(item)
                present.add((FlowKey(metadata.metadata.namespace, metadata.flow), metadata.metadata.name))
                self._cache.add_watched(self.kind, item)
            await asyncio.sleep(0)
            after = page.metadata.continue_
            if not after:
                break
        if not self.served and self.kind.optional:
            self._cache.wake(self._namespace)  # what flows want depends on it
        self.served = True
        self._cache.retain(self.kind, self._namespace, present, int(page.metadata.resource_version))
        self.listed.set()
        return page.metadata.resource_version

    async def _watch(self, version: str) -> str:
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "labelSelector": SELECTOR,
            "resourceVersion": version,
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        try:
            async with self._api.stream(self._path, query, _WATCH_SECONDS + _GRACE_SECONDS) as lines:
                async for line in lines:
                    version = self._take(msgspec.json.decode(line, type=_Event))
        except ApiError as error:
            if error.status != 0:
                raise
            await asyncio.sleep(_PAUSE_SECONDS * random.uniform(0.1, 0.5))  # noqa: S311 - spreads, guards nothing
        return version

    def _take(self, event: _Event) -> str:
        match event.type:
            case "ADDED" | "MODIFIED":
                return self._cache.add_watched(self.kind, event.object)
            case "DELETED":
                return self._cache.remove_watched(self.kind, event.object)
            case "BOOKMARK":
                return decode_object(event.object).metadata.resource_version
            case _:
                raise _VersionGoneError
