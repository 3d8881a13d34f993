"""What is to be altered of a topic's settings: one judgement for the operator and for the laptop. Pure.

A setting that leaves the resource goes back to the cluster's default. On a topic that somebody else made, their own
settings are theirs: only what we set there before goes back.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from orderflow_model.topic_settings import written


@dataclass(frozen=True)
class Ours:
    """What of a topic is ours: all settings where we made it, else those that we have set."""

    made: bool = False
    settings: frozenset[str] = frozenset()


FOUND = Ours()
"""A topic that was there before us, and that we have not touched."""


@dataclass(frozen=True)
class SettingChanges:
    """Values to set, and names to give back to the cluster's default."""

    put: Mapping[str, str]
    reset: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.put or self.reset)


def setting_changes(wanted: Mapping[str, str], has: Mapping[str, str], ours: Ours) -> SettingChanges:
    """Return what makes a topic's settings the wanted ones.

    `has` are the settings of the topic itself, as Kafka gives them, without the cluster's defaults.
    """
    right = {name for name in wanted.keys() & has.keys() if written(name, has[name]) == written(name, wanted[name])}
    unwanted = has.keys() - wanted.keys()
    return SettingChanges(
        {name: value for name, value in wanted.items() if name not in right},
        tuple(sorted(unwanted if ours.made else unwanted & ours.settings)),
    )
