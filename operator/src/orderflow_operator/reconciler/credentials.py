"""Passwords of services: drawn once, kept in a Secret each, read at every turn, never listed or watched.

Turns that follow each other closely share a look at a Secret. Where nothing of a service is there yet, its Secrets are
made on the condition that they are not there either, and only looked at where they are.

A database role's Secret points where the admin's URI does, and holds nothing else of that; when the database moves, a
URL is added, those of before go when no pod needs them, and the password stays. Where no Strimzi makes Kafka users,
their passwords are kept the same way.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from orderflow_model.flow import OrderFlow
from orderflow_model.lint.secrets import ADDRESSES_KEY, DATABASE_PLACE, LOGIN_PLACE, USABLE_LABEL, foreign_secrets
from orderflow_model.names import kafka_secret_name, object_name, token_secret_name
from orderflow_model.placement import processes_by_service
from orderflow_model.postgres_uri import PostgresUri
from orderflow_model.spec.console import CONSOLE, makes_token
from orderflow_operator.kafka.connection import PASSWORD_KEY, KafkaConnection, kafka_connection
from orderflow_operator.kubernetes.cache import FlowKey, Objects
from orderflow_operator.kubernetes.errors import (
    DatabaseSecretInvalidError,
    DatabaseSecretMissingError,
    SecretNotUsableError,
)
from orderflow_operator.kubernetes.health import State
from orderflow_operator.kubernetes.kinds import DEPLOYMENT, KAFKA_USER, SERVICE, ObjectKey
from orderflow_operator.kubernetes.labels import Object, digest
from orderflow_operator.kubernetes.objects import ObjectClient
from orderflow_operator.kubernetes.stored import Stored
from orderflow_operator.resources import secret
from orderflow_operator.resources.build_context import Database, Proofs

VERIFIED_SECONDS = 60.0
_SEEN_SECONDS = 30.0
"""Turns that follow each other closely share a look, those of a flow at rest (`workqueue.py`) never do; those of a flow
that is on its way share one for longer.
"""

_PASSWORD_BYTES = 24


@dataclass(frozen=True)
class Admin:
    """The database's admin URI, where it points without its credentials, and a mark of the whole."""

    uri: PostgresUri = field(repr=False)
    database: Database
    mark: str = ""


class Credentials:
    """Makes Secrets, and tells what stands in them."""

    def __init__(self, cluster: ObjectClient, now: Callable[[], float]) -> None:
        self._cluster = cluster
        self._now = now
        self._seen: dict[FlowKey, dict[str, tuple[Stored, float]]] = {}
        self._on_the_way: set[FlowKey] = set()
        self._allowed: dict[tuple[FlowKey, str], tuple[str, float]] = {}

    async def admin(self, key: FlowKey, flow: OrderFlow) -> Admin:
        """Read where the database stands; raise `FlowError`."""
        reference = flow.spec.database.secret_key_ref
        found = await self._named(key, reference.name)
        if found is None or not found.values.get(reference.key):
            raise DatabaseSecretMissingError(reference.name, reference.key)
        try:
            uri = PostgresUri.parse(found.values[reference.key])
            return Admin(uri, Database.of(uri), found.mark(reference.key))
        except ValueError as error:
            raise DatabaseSecretInvalidError(reference.name, reference.key, str(error)) from None

    async def check_named(self, key: FlowKey, flow: OrderFlow, within: str = "spec") -> None:
        """Make sure that each Secret the flow names below a place is for flows to name, and there; raise `FlowError`.

        What the operator reads itself may be missing: whoever reads it tells of that.
        """
        named = {one.place: one.name for one in foreign_secrets(flow) if one.place.startswith(within)}
        state = digest(f"{flow.metadata.uid} {sorted(named.items())}")
        known, until = self._allowed.get((key, within), ("", 0.0))
        if known == state and self._now() < until:
            return
        for place, name in named.items():
            if why := _why_not(place, await self._named(key, name)):
                raise SecretNotUsableError(place, name, why)
        self._allowed[key, within] = (state, self._now() + VERIFIED_SECONDS)

    async def ensure(self, key: FlowKey, flow: OrderFlow, admin: Admin, objects: Objects, *, write: bool) -> Proofs:
        """Return what the services prove themselves with, made if we may where ours are missing; raise `FlowError`."""
        connection = kafka_connection(flow)
        names = [service.name for service in flow.services]
        held = await asyncio.gather(*(self._role(key, flow, name, admin, objects, write) for name in names))
        roles = [found.mark(secret.url_key(admin.database)) if found else "" for found in held]
        users = await asyncio.gather(*(self._user(key, flow, name, connection, objects, write) for name in names))
        proofs = {name: digest(f"{role} {user}") for name, role, user in zip(names, roles, users, strict=True)}
        if makes_token(flow.spec.console):
            name = token_secret_name(object_name(flow.metadata.name, CONSOLE))
            token = await self._password_secret(key, flow, name, write=write)
            proofs[CONSOLE] = digest(f"{proofs[CONSOLE]} {token.mark(PASSWORD_KEY) if token else ''}")
        return Proofs(
            services=proofs,
            migrations={name: digest(f"{admin.mark} {role}") for name, role in zip(names, roles, strict=True)},
            missing=frozenset(name for name, user in zip(names, users, strict=True) if user is None),
            roomy=frozenset(
                name for name, found in zip(names, held, strict=True) if found and len(secret.urls_of(found.values)) > 1
            ),
        )

    async def leave_places(self, key: FlowKey, flow: OrderFlow, admin: Admin, services: Iterable[str]) -> None:
        """Take out of services' Secrets where the database was before."""
        for service in services:
            found = await self._own(key, flow, secret.database_name(flow, service))
            if found and (password := found.values.get(secret.PASSWORD_KEY)):
                await self._write(key, secret.build_database(flow, service, admin.uri, password))

    async def kafka_passwords(self, key: FlowKey, flow: OrderFlow, owners: Iterable[str]) -> dict[str, str]:
        """Return the password of each Kafka user that we make ourselves, by the name of the objects it belongs to."""
        named = {owner: kafka_secret_name(owner, strimzi=False) for owner in owners}
        kept = {owner: await self._password_secret(key, flow, name, write=True) for owner, name in named.items()}
        return {owner: found.values[PASSWORD_KEY] for owner, found in kept.items() if found}

    def note_turn(self, key: FlowKey, *, on_the_way: bool) -> None:
        """Take down whether a turn brought the flow further and another is to follow: that one needs no newer look."""
        (self._on_the_way.add if on_the_way else self._on_the_way.discard)(key)

    def forget(self, key: FlowKey) -> None:
        """Look at the flow's Secrets again the next time."""
        self._seen.pop(key, None)
        self._on_the_way.discard(key)
        for one in [one for one in self._allowed if one[0] == key]:
            del self._allowed[one]

    async def remove(self, key: FlowKey, owner: str) -> None:
        """Remove the Secrets of a service that is no more; `owner` is the name of its objects."""
        for name in secret.names_of(owner):
            if await self._cluster.own_secret(key, "", name) is not None:
                await self._cluster.delete_secret(key, name)
                self._keep(key, name, None)

    async def _role(
        self, key: FlowKey, flow: OrderFlow, service: str, admin: Admin, objects: Objects, write: bool
    ) -> Stored | None:
        """Return a database role's Secret, as it should be unless we may not write; URLs of other places stay."""
        is_new = write and ObjectKey(SERVICE, object_name(flow.metadata.name, service)) not in objects
        drawn = secret.build_database(flow, service, admin.uri, _new_password()) if is_new else None
        found = await self._own(key, flow, secret.database_name(flow, service), drawn)
        if not write:
            return found
        password = (found.values.get(secret.PASSWORD_KEY) if found else None) or _new_password()
        others = secret.urls_of(found.values) if found else {}
        values = secret.database_values(flow, service, admin.uri, password, others)
        if found is None or found.values != values or _is_of_former(found, flow):
            found = await self._write(key, secret.build_database(flow, service, admin.uri, password, others))
        return found

    async def _user(
        self, key: FlowKey, flow: OrderFlow, service: str, connection: KafkaConnection, objects: Objects, write: bool
    ) -> str | None:
        """Return the mark of a Kafka user's Secret: None before there is one, empty where it was taken away."""
        owner = object_name(flow.metadata.name, service)
        name = connection.secret(owner)
        if connection.mechanism is None or not flow.service(service).uses_kafka:
            return ""
        if not connection.strimzi:
            found = await self._password_secret(key, flow, name, write=write)
            return found.mark(PASSWORD_KEY) if found else None
        cached = objects.get(ObjectKey(KAFKA_USER, owner))
        made = cached is not None and cached.health.state is State.READY
        if not made and _pods_of(flow, service) not in objects:
            return None
        found = await self._named(key, name)
        absent = "" if made else None  # taken away, or not made yet
        return found.mark(PASSWORD_KEY) if found else absent

    async def _password_secret(self, key: FlowKey, flow: OrderFlow, name: str, *, write: bool) -> Stored | None:
        found = await self._own(key, flow, name)
        password = found.values.get(PASSWORD_KEY) if found else None
        if write and (not found or not password or _is_of_former(found, flow)):
            return await self._write(key, secret.build_password(flow, name, password or _new_password()))
        return found

    async def _named(self, key: FlowKey, name: str) -> Stored | None:
        """Return a Secret that the flow names."""
        return await self._look(key, name, partial(self._cluster.stored, key.namespace, name))

    async def _own(self, key: FlowKey, flow: OrderFlow, name: str, drawn: Object | None = None) -> Stored | None:
        """Return a Secret of the flow; made as `drawn` if it is not there. Raise `FlowError`."""

        async def read() -> Stored | None:
            made = await self._cluster.create_secret(key, drawn) if drawn else None
            return made or await self._cluster.own_secret(key, flow.metadata.uid or "", name)

        return await self._look(key, name, read)

    async def _look(self, key: FlowKey, name: str, read: Callable[[], Awaitable[Stored | None]]) -> Stored | None:
        """Return a Secret as it was a moment ago, or as it is; one that is not there is looked for each time."""
        known, looked = self._seen.get(key, {}).get(name, (None, 0.0))
        lasts = VERIFIED_SECONDS if key in self._on_the_way else _SEEN_SECONDS
        if known is None or self._now() >= looked + lasts:
            known = self._keep(key, name, await read())
        return known

    async def _write(self, key: FlowKey, wanted: Object) -> Stored | None:
        return self._keep(key, wanted["metadata"]["name"], await self._cluster.write_secret(key, wanted))

    def _keep(self, key: FlowKey, name: str, found: Stored | None) -> Stored | None:
        seen = self._seen.setdefault(key, {})
        seen.pop(name, None)
        if found is not None:
            seen[name] = (found, self._now())
        return found


def _is_of_former(found: Stored, flow: OrderFlow) -> bool:
    """Return whether a Secret is about to go with a flow of the same name that is gone, or with nothing."""
    return flow.metadata.uid not in found.owners


def _pods_of(flow: OrderFlow, service: str) -> ObjectKey:
    process = processes_by_service(flow)[service].name
    return ObjectKey(DEPLOYMENT, object_name(flow.metadata.name, process))


def _new_password() -> str:
    return secrets.token_urlsafe(_PASSWORD_BYTES)


def _why_not(place: str, found: Stored | None) -> str:
    """Return why a flow may not name a Secret there, if it may not; with a login in a pod one could rule over Kafka.

    A pod that waits for a Secret would get it the moment it is made, whether it is for flows or not: none is started.
    """
    if found is None:
        is_read_here = place in (LOGIN_PLACE, DATABASE_PLACE)
        return "" if is_read_here else f"is not there; make it, with the label {USABLE_LABEL}=true"
    if not found.usable:
        return f"is not for flows to name; its owner can say so by the label {USABLE_LABEL}=true"
    if ADDRESSES_KEY in found.values and place != LOGIN_PLACE:
        return f"holds the operator's login at a Kafka, which only {LOGIN_PLACE} may name"
    return ""
