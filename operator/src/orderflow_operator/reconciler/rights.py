"""Which rights a KafkaUser may have by now: none on a topic that is in conflict. Pure.

A KafkaTopic that belongs to somebody else, or names a topic that another KafkaTopic has, gives nobody a right. Until
Strimzi has answered for a topic it is not known whose it is, so whoever is to use it waits.
"""

from collections.abc import Iterable, Mapping

from orderflow_model.names import DEAD_LETTERS
from orderflow_operator.kubernetes.cache import Objects
from orderflow_operator.kubernetes.health import Health, State
from orderflow_operator.kubernetes.kinds import KAFKA_TOPIC, KAFKA_USER, ObjectKey, kind_of
from orderflow_operator.kubernetes.labels import Object
from orderflow_operator.resources import kafkatopic

_TAKEN = "ResourceConflict"
"""Strimzi's reason for a KafkaTopic whose topic another one has."""
_MISSING = Health(State.FAILED, "NotTheFlows")


def permitted(wanted: Iterable[Object], objects: Objects) -> list[Object]:
    """Return the objects with the rights taken out that speak of topics which are not the flow's."""
    return [_narrowed(one, objects) if kind_of(one) is KAFKA_USER else one for one in wanted]


def is_known(wanted: Object, objects: Objects) -> bool:
    """Return whether Strimzi has taken up every topic that a KafkaUser has a right on; other kinds wait for none."""
    if kind_of(wanted) is not KAFKA_USER:
        return True
    return all(_topic_health(rule, objects).state is State.READY for rule in _rules(wanted))


def _narrowed(user: Object, objects: Objects) -> Object:
    rules = [rule for rule in _rules(user) if not _is_foreign(_topic_health(rule, objects))]
    authorization = user["spec"]["authorization"] | {"acls": rules}
    return user | {"spec": user["spec"] | {"authorization": authorization}}


def _is_foreign(health: Health) -> bool:
    return health.reason in (_TAKEN, _MISSING.reason)


def _topic_health(rule: Object, objects: Objects) -> Health:
    """Return how the topic of a rule fares; a group goes with the dead letters that are called after it."""
    resource: Mapping[str, str] = rule["resource"]
    topic = resource["name"] if resource["type"] == "topic" else f"{resource['name']}{DEAD_LETTERS}"
    cached = objects.get(ObjectKey(KAFKA_TOPIC, kafkatopic.name(topic)))
    return _MISSING if cached is None else cached.health


def _rules(user: Object) -> list[Object]:
    return list(user["spec"]["authorization"]["acls"])
