"""Which rights a KafkaUser may have by now: none on a topic that is in conflict. Pure.

A KafkaTopic that belongs to somebody else, or names a topic that another KafkaTopic has, gives nobody a right. Until
Strimzi has made a topic it is not known whose it is, so rights on it are not given yet; those on others are, and what a
user holds it keeps.
"""

from collections.abc import Iterable, Mapping

from orderflow_model.names import DEAD_LETTERS
from orderflow_operator.kubernetes.cache import Objects
from orderflow_operator.kubernetes.health import Health, State
from orderflow_operator.kubernetes.kinds import KAFKA_TOPIC, KAFKA_USER, ObjectKey
from orderflow_operator.kubernetes.labels import Object
from orderflow_operator.kubernetes.wanted_object import WantedObject
from orderflow_operator.resources import kafkatopic

_TAKEN = "ResourceConflict"
"""Strimzi's reason for a KafkaTopic whose topic another one has."""
_MISSING = Health(State.FAILED, "NotTheFlows")


def permitted(wanted: Iterable[WantedObject], objects: Objects) -> list[WantedObject]:
    """Return the objects with the rights taken out that speak of topics which are not the flow's."""
    return [_narrowed(one, objects) if one.kind is KAFKA_USER else one for one in wanted]


def is_complete(user: Object, objects: Objects) -> bool:
    """Return whether a KafkaUser may have all of its rights."""
    return all(_topic_health(rule, objects).state is State.READY for rule in _rules(user))


def is_answered(user: Object, objects: Objects) -> bool:
    """Return whether Strimzi has said of every topic that a KafkaUser has a right on what became of it."""
    return all(_topic_health(rule, objects).state is not State.PENDING for rule in _rules(user))


def attainable(user: Object, objects: Objects, live: Object | None) -> WantedObject:
    """Return a KafkaUser with the rights it may have by now: on topics that are ready, and those it holds already."""
    held = _rules(live) if live else []
    ready = (rule for rule in _rules(user) if _topic_health(rule, objects).state is State.READY or rule in held)
    return _with_rules(user, ready)


def withheld(user: Object, objects: Objects) -> list[str]:
    """Return the topics that Strimzi refuses, of those that a KafkaUser has rights on."""
    refused = (rule for rule in _rules(user) if _topic_health(rule, objects).state is State.FAILED)
    return sorted({_topic(rule) for rule in refused})


def _narrowed(user: WantedObject, objects: Objects) -> WantedObject:
    allowed = [rule for rule in _rules(user) if not _is_foreign(_topic_health(rule, objects))]
    return user if len(allowed) == len(_rules(user)) else _with_rules(user, allowed)


def _with_rules(user: Object, rules: Iterable[Object]) -> WantedObject:
    authorization = user["spec"]["authorization"] | {"acls": list(rules)}
    return WantedObject(user | {"spec": user["spec"] | {"authorization": authorization}})


def _is_foreign(health: Health) -> bool:
    return health.reason in (_TAKEN, _MISSING.reason)


def _topic_health(rule: Object, objects: Objects) -> Health:
    cached = objects.get(ObjectKey(KAFKA_TOPIC, kafkatopic.name(_topic(rule))))
    return _MISSING if cached is None else cached.health


def _topic(rule: Object) -> str:
    """Return the topic of a rule; a group goes with the dead letters that are called after it."""
    resource: Mapping[str, str] = rule["resource"]
    return resource["name"] if resource["type"] == "topic" else f"{resource['name']}{DEAD_LETTERS}"


def _rules(user: Object) -> list[Object]:
    authorization = (user.get("spec") or {}).get("authorization") or {}  # somebody else may have edited it
    return list(authorization.get("acls") or [])
