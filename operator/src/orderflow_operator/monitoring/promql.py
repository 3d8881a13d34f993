"""PromQL about one flow; rules and panels are written with it.

Labels are safe to write as they are: names in the resource hold neither quotes nor backslashes.
"""

from dataclasses import dataclass
from decimal import Decimal
from math import ceil

from orderflow_model.flow import OrderFlow

IDENTITY = "flow, namespace"
BY_SERVICE = f"{IDENTITY}, service"

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


@dataclass(frozen=True)
class Scope:
    """The flow that a query speaks of; every selector names it, so that two flows in one Prometheus never mix."""

    flow: str
    namespace: str

    @classmethod
    def of(cls, flow: OrderFlow) -> "Scope":
        """Return the scope of a flow."""
        return cls(flow.metadata.name, flow.metadata.namespace or "")

    @property
    def labels(self) -> dict[str, str]:
        """The labels that the flow's rules set on what they give."""
        return {"flow": self.flow, "namespace": self.namespace}

    def series(self, metric: str, *matchers: str, **equal: str) -> str:
        """Return a selector of the flow's series of a metric; `matchers` are other than plain equality."""
        wanted = [f'{name}="{value}"' for name, value in (self.labels | equal).items()]
        return f"{metric}{{{','.join([*wanted, *matchers])}}}"


def lasting(seconds: float) -> str:
    """Return a length of time as Prometheus writes it, whole seconds upwards: `90` is `1m30s`."""
    rest, parts = max(1, ceil(seconds)), []
    for unit, length in _UNITS:
        if rest >= length:
            parts.append(f"{rest // length}{unit}")
            rest %= length
    return "".join(parts)


def plain(number: Decimal) -> str:
    """Return a number as people write it: no exponent, no zeros behind."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
