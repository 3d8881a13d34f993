"""Passwords of services: drawn once, kept in a Secret each, never listed or watched.

A database role's Secret points where the admin's URI does, and holds nothing else of that; when the database moves, the
URL follows and the password stays. Where no Strimzi makes Kafka users, their passwords are kept the same way.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from orderflow_model.flow import OrderFlow
from orderflow_model.postgres_uri import PostgresUri
from orderflow_model.secret_lint import ADDRESSES_KEY, LOGIN_PLACE, USABLE_LABEL, foreign_secrets
from orderflow_operator.broker import broker
from orderflow_operator.cluster import Cluster
from orderflow_operator.errors import (
    DatabaseSecretInvalidError,
    DatabaseSecretMissingError,
    SecretNotUsableError,
)
from orderflow_operator.resources import secret
from orderflow_operator.resources.metadata import digest
from orderflow_operator.store import FlowKey
from orderflow_operator.surroundings import Database

VERIFIED_SECONDS = 60.0

_PASSWORD_BYTES = 24


@dataclass(frozen=True)
class Admin:
    """The database's admin URI, and where it points without its credentials."""

    uri: PostgresUri = field(repr=False)
    database: Database


class Credentials:
    """Makes Secrets and remembers, for a while, that they are there: reading them all each time would cost most."""

    def __init__(self, cluster: Cluster, now: Callable[[], float]) -> None:
        self._cluster = cluster
        self._now = now
        self._verified: dict[FlowKey, tuple[str, float]] = {}
        self._allowed: dict[FlowKey, tuple[str, float]] = {}

    async def admin(self, key: FlowKey, flow: OrderFlow) -> Admin:
        """Read where the database stands; raise FlowError."""
        reference = flow.spec.database.secret_key_ref
        values = await self._cluster.secret(key.namespace, reference.name) or {}
        if not values.get(reference.key):
            raise DatabaseSecretMissingError(reference.name, reference.key)
        try:
            uri = PostgresUri.parse(values[reference.key])
            return Admin(uri, Database.of(uri))
        except ValueError as error:
            raise DatabaseSecretInvalidError(reference.name, reference.key, str(error)) from None

    async def check_named(self, key: FlowKey, flow: OrderFlow) -> None:
        """Make sure that each Secret the flow names is for flows to name, and there; raise FlowError.

        One that is not there is told of by whoever needs it.
        """
        named = {one.place: one.reference.name for one in foreign_secrets(flow)}
        state = digest(f"{flow.metadata.uid} {sorted(named.items())}")
        known, until = self._allowed.get(key, ("", 0.0))
        if known == state and self._now() < until:
            return
        outlines = {name: await self._cluster.secret_outline(key.namespace, name) for name in set(named.values())}
        for place, name in named.items():
            if why := _why_not(place, outlines[name]):
                raise SecretNotUsableError(place, name, why)
        self._allowed[key] = (state, self._now() + VERIFIED_SECONDS)

    async def ensure(self, key: FlowKey, flow: OrderFlow, admin: Admin) -> None:
        """Make sure each service has its role's Secret; raise FlowError."""
        names = [service.name for service in flow.spec.services]
        state = digest(f"{flow.metadata.uid} {admin.uri.place} {names}")
        known, until = self._verified.get(key, ("", 0.0))
        if known != state or self._now() >= until:
            await asyncio.gather(*(self._ensure_role(key, flow, name, admin.uri) for name in names))
            self._verified[key] = (state, self._now() + VERIFIED_SECONDS)

    async def kafka_passwords(self, key: FlowKey, flow: OrderFlow, owners: Iterable[str]) -> dict[str, str]:
        """Return the password of each Kafka user that we make ourselves, by the name of the objects it belongs to."""
        reach = broker(flow)
        return {owner: await self._kafka_password(key, flow, reach.secret(owner)) for owner in owners}

    def forget(self, key: FlowKey) -> None:
        """Look at the flow's Secrets again the next time."""
        self._verified.pop(key, None)
        self._allowed.pop(key, None)

    async def remove(self, key: FlowKey, owner: str) -> None:
        """Remove the Secrets of a service that is no more; `owner` is the name of its objects."""
        for name in secret.names_of(owner):
            if await self._cluster.own_secret(key, "", name) is not None:
                await self._cluster.delete_secret(key, name)

    async def _ensure_role(self, key: FlowKey, flow: OrderFlow, service: str, admin: PostgresUri) -> None:
        name = secret.database_name(flow, service)
        found = await self._cluster.own_secret(key, flow.metadata.uid or "", name) or {}
        password = found.get(secret.PASSWORD_KEY) or secrets.token_urlsafe(_PASSWORD_BYTES)
        wanted = secret.build_database(flow, service, admin, password)
        if found != secret.values(wanted):
            await self._cluster.write_secret(key, wanted)

    async def _kafka_password(self, key: FlowKey, flow: OrderFlow, name: str) -> str:
        found = await self._cluster.own_secret(key, flow.metadata.uid or "", name) or {}
        if not found.get(secret.PASSWORD_KEY):
            found = {secret.PASSWORD_KEY: secrets.token_urlsafe(_PASSWORD_BYTES)}
            await self._cluster.write_secret(key, secret.build_kafka(flow, name, found[secret.PASSWORD_KEY]))
        return found[secret.PASSWORD_KEY]


def _why_not(place: str, outline: tuple[dict[str, str], frozenset[str]] | None) -> str:
    """Return why a flow may not name a Secret there, if it may not; with a login in a pod one could rule over Kafka."""
    labels, keys = outline or ({USABLE_LABEL: "true"}, frozenset())
    if labels.get(USABLE_LABEL) != "true":
        return f"is not for flows to name; its owner can say so by the label {USABLE_LABEL}=true"
    if ADDRESSES_KEY in keys and place != LOGIN_PLACE:
        return f"holds the operator's login at a Kafka, which only {LOGIN_PLACE} may name"
    return ""
