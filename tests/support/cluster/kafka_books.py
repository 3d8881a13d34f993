"""A Kafka that is only written down: topics, users and rules for the double of Strimzi where no broker is needed.

It has the methods of `KafkaRights` that the double calls. It takes every setting and has as many brokers as are asked
for: what a broker refuses is shown on a real one, or told by the test.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class TopicState:
    """A topic as a broker describes it: the `settings` in force, and the names of those set on the topic itself."""

    id: str
    partitions: int
    replicas: int
    settings: Mapping[str, str] = field(default_factory=dict)
    own: frozenset[str] = frozenset()


class KafkaBooks:
    """The books of one Kafka."""

    def __init__(self) -> None:
        self._topics: dict[str, TopicState] = {}
        self._passwords: dict[str, str] = {}
        self._rules: dict[str, list[Json]] = {}

    def topic(self, name: str) -> TopicState | None:
        """Give what there is of a topic."""
        return self._topics.get(name)

    def create_topic(self, name: str, partitions: int, replicas: int, settings: Mapping[str, str]) -> str:
        """Make a topic; give its id."""
        state = TopicState(uuid.uuid4().hex[:22], partitions, replicas, dict(settings), frozenset(settings))
        self._topics[name] = state
        return state.id

    def alter_settings(self, name: str, changes: Mapping[str, str | None]) -> None:
        """Set what has a value, unset what has None."""
        wanted = dict(self._topics[name].settings) | changes
        kept = {key: value for key, value in wanted.items() if value is not None}
        self._topics[name] = replace(self._topics[name], settings=kept, own=frozenset(kept))

    def add_partitions(self, name: str, partitions: int) -> None:
        """Raise the number of partitions."""
        self._topics[name] = replace(self._topics[name], partitions=partitions)

    def delete_topic(self, name: str) -> None:
        """Delete a topic, if it is there."""
        self._topics.pop(name, None)

    def ensure_user(self, user: str, password: str, rules: list[Json]) -> None:
        """Give a user its password and exactly these rules."""
        self._passwords[user], self._rules[user] = password, rules

    def forget(self, user: str) -> None:
        """Take a user's password and rules away."""
        self._passwords.pop(user, None)
        self._rules.pop(user, None)

    def principals(self) -> set[str]:
        """Give everybody who has a password or a rule."""
        return {*self._passwords, *self._rules}
