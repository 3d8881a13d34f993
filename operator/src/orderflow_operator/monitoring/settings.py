"""What the operator's options say of monitoring; part of the context that a flow's objects are built in."""

from dataclasses import dataclass, field

RUNBOOKS = "docs/runbooks"
"""The pages' folder in the project's own tree. Whoever publishes it names the address by an option of the operator."""


@dataclass(frozen=True)
class Monitoring:
    """`runbooks`: the address before the pages' names. `labels`: by which a Prometheus finds its monitors and rules."""

    runbooks: str = RUNBOOKS
    labels: dict[str, str] = field(default_factory=dict)
