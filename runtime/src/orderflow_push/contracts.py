"""What a program may say: the events that its service publishes, each by its contract.

A refusal names the event, the place and the rule, and quotes nothing of the data: those may be of people.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import jsonschema_rs
import msgspec

from orderflow_contracts.raw_event import RawEvent
from orderflow_push.cloud_events import MAX_KEY, Said
from orderflow_runtime import MisconfiguredError

_MOST_BYTES = 900_000
"""As many as the runtime publishes of one event."""
_VERSION = "x-version"


class UnwelcomeError(Exception):
    """The service does not publish such an event, or it breaks its contract; the words say where."""


class Vocabulary:
    """The events that a service publishes, and their JSON Schemas as far as the resource has them."""

    def __init__(self, publishes: Iterable[str], contracts: Mapping[str, Mapping[str, Any]]) -> None:
        self._classes = {name: RawEvent.named(name) for name in publishes}
        self._rules = {name: _validator(name, schema) for name, schema in contracts.items()}
        self._versions = {name: schema.get(_VERSION, 1) for name, schema in contracts.items()}

    @property
    def classes(self) -> frozenset[type[RawEvent]]:
        """Return the classes of these events."""
        return frozenset(self._classes.values())

    def event(self, said: Said, key: str | None) -> RawEvent:
        """Return what was said as an event of ours, under its own key or that one; raise `UnwelcomeError`."""
        if (kind := self._classes.get(said.type)) is None:
            known = ", ".join(sorted(self._classes)) or "none"
            raise UnwelcomeError(f"the service publishes no {said.type[:100]} (publishes: {known})")
        key = said.partition_key or key
        if not key:
            raise UnwelcomeError(f"{said.type} has no key: say which by the attribute partitionkey")
        if len(said.data) > _MOST_BYTES:
            raise UnwelcomeError(f"{said.type} of {len(said.data)} bytes; at most {_MOST_BYTES} are published")
        version = said.version or self._versions.get(said.type, 1)
        if said.version is None or said.version == self._versions.get(said.type, said.version):
            self._check(said)
        return kind(source=said.source, version=version, data=said.data, record_key=key[:MAX_KEY])

    def _check(self, said: Said) -> None:
        """Hold the data against the contract, where they are of its version: of others the resource has none."""
        rules = self._rules.get(said.type)
        if rules is None:
            return
        broken = next(iter(rules.iter_errors(_parsed(said.data))), None)
        if broken is not None:
            place = "/" + "/".join(map(str, broken.instance_path))
            rule = broken.schema_path[-1] if broken.schema_path else "false"
            raise UnwelcomeError(f"{said.type} breaks its contract at {place}: {rule}")


def _parsed(data: bytes) -> Any:
    return msgspec.json.decode(data)


def _validator(name: str, schema: Mapping[str, Any]) -> Any:
    try:
        return jsonschema_rs.validator_for(dict(schema), retriever=_refuse)
    except Exception as error:  # of many kinds, none with a common base
        words = str(error).partition("\n")[0]
        raise MisconfiguredError(f"the schema of {name} cannot be used: {words}") from None


def _refuse(uri: str) -> Any:
    raise LookupError(f"{uri} stands elsewhere, and a contract is taken as it is written")
