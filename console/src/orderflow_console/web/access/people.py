"""People as the console knows them: who they are, and what they may."""

import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from orderflow_model.spec.console import ConsoleRoles

_CSRF_BYTES = 32


class Role(StrEnum):
    """What a person may: see, change, see what is personal. The second and the third bring the first with them."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    UNMASK = "unmask"


@dataclass(frozen=True)
class Person:
    """Somebody: `subject` is who that is for ever where they log in, `name` what people call them."""

    subject: str
    name: str
    roles: frozenset[Role]

    @property
    def told(self) -> str:
        """Return who it is, for the log and the trail."""
        return self.name if self.name == self.subject else f"{self.name} ({self.subject})"


@dataclass(frozen=True)
class Session:
    """A person at a browser; forms carry `csrf`, but of a `program`, whose requests no browser sends by itself."""

    person: Person
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(_CSRF_BYTES), repr=False)
    program: bool = False


def roles_of(groups: Collection[str], given: ConsoleRoles) -> frozenset[Role]:
    """Return the roles that a person of these groups has; none who is in no group that has one."""
    named: dict[Role, Iterable[str]] = {
        Role.VIEWER: given.viewer,
        Role.OPERATOR: given.operator,
        Role.UNMASK: given.unmask,
    }
    found = {role for role, having in named.items() if any(group in groups for group in having)}
    return frozenset(found | ({Role.VIEWER} if found else set()))
