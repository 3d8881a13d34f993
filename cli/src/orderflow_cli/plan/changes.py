"""The difference of two flows, object by object. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from orderflow_cli.plan.objects import SCHEMA, SERVICE, TOPIC, Facts, flow_objects
from orderflow_model.contracts.promise import broken, promises, wanted_breaks
from orderflow_model.flow import DeletionPolicy, OrderFlow
from orderflow_model.lint.transitions import lint_change


class Action(StrEnum):
    """What becomes of an object."""

    ADD = "Add"
    CHANGE = "Change"
    REMOVE = "Remove"


@dataclass(frozen=True, slots=True)
class FactChange:
    """One fact of an object; None where it has none."""

    fact: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one object; `kept`: the flow lets go of it, and it stays with all that is in it."""

    action: Action
    kind: str
    name: str
    facts: tuple[FactChange, ...] = ()
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Changes:
    """All of it, why the edit would be refused, where it would, and what it lets go that somebody hears."""

    objects: tuple[Change, ...]
    refused: tuple[str, ...]
    unheard: tuple[str, ...] = ()

    @property
    def services(self) -> tuple[str, ...]:
        """Names of the services that go, or that are told something else."""
        return tuple(one.name for one in self.objects if one.kind == SERVICE and one.action is not Action.ADD)

    @property
    def removed_services(self) -> frozenset[str]:
        """Names of the services that go."""
        return frozenset(one.name for one in self.objects if one.kind == SERVICE and one.action is Action.REMOVE)

    @property
    def removed_events(self) -> tuple[str, ...]:
        """Names of the events that go."""
        return tuple(one.name for one in self.objects if one.kind == "Event" and one.action is Action.REMOVE)


def find_changes(old: OrderFlow, new: OrderFlow) -> Changes:
    """Return what an apply of the new flow over the old one changes."""
    before, after = flow_objects(old), flow_objects(new)
    retained = new.spec.deletion_policy is DeletionPolicy.RETAIN
    found = []
    for key in sorted(before.keys() | after.keys()):
        if key not in after:
            found.append(Change(Action.REMOVE, *key, kept=retained and key[0] in (TOPIC, SCHEMA)))
        elif key not in before:
            found.append(Change(Action.ADD, *key, _changed({}, after[key])))
        elif facts := _changed(before[key], after[key]):
            found.append(Change(Action.CHANGE, *key, facts))
    return Changes(tuple(found), (*map(str, lint_change(old, new)), *_breaks(old, new)), tuple(_unheard(old, new)))


def _unheard(old: OrderFlow, new: OrderFlow) -> Iterator[str]:
    """Yield the events that leave and are heard: with or without a schema, what is not read of them goes unread."""
    for name in sorted({one.name for one in old.spec.events} - {one.name for one in new.spec.events}):
        if heard_by := sorted(service.name for service in old.services if name in service.subscribes):
            yield f"{name} leaves the flow: what {', '.join(heard_by)} have not read of it by then, nobody reads"


def _breaks(old: OrderFlow, new: OrderFlow) -> tuple[str, ...]:
    """Return what breaks readers of the schemas in the resource, where it is not said to be wanted."""
    wanted = wanted_breaks(new)
    return tuple(str(one) for one in broken(promises(old), new) if one.event not in wanted)


def _changed(before: Facts, after: Facts) -> tuple[FactChange, ...]:
    names = [*after, *(name for name in before if name not in after)]
    pairs = (FactChange(name, before.get(name), after.get(name)) for name in names)
    return tuple(pair for pair in pairs if pair.before != pair.after)
