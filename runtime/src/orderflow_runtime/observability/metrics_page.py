"""The page of metrics: one service's as they are, those of several in one process with a label that says whose.

Source: Prometheus's exposition formats: each family stands once, with all its samples.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import cast

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.exposition import choose_encoder

LABEL = "service"
_OF_THE_PROCESS = frozenset(family.name for family in ProcessCollector(registry=None).collect())


def render(registries: Mapping[str, CollectorRegistry], accept: str) -> tuple[bytes, str]:
    """Return the exposition and its media type: OpenMetrics, which has exemplars, for those who accept it."""
    encode, media_type = _encoder(accept)
    alone = len(registries) == 1
    registry = next(iter(registries.values())) if alone else cast("CollectorRegistry", _Joined(registries))
    return encode(registry), media_type


def _encoder(accept: str) -> tuple[Callable[[CollectorRegistry], bytes], str]:
    """Return how to write the page; as plain text for a version that is no number, which the library cannot compare."""
    try:
        return choose_encoder(accept)
    except (TypeError, ValueError):
        return choose_encoder("")


class _Joined:
    """Registries read as one. What is told of the process, such as its memory, is no service's and stands once."""

    def __init__(self, registries: Mapping[str, CollectorRegistry]) -> None:
        self._registries = registries

    def collect(self) -> Iterator[Metric]:
        """Yield each family once, with the samples of all services."""
        families: dict[str, Metric] = {}
        for service, registry in self._registries.items():
            for found in registry.collect():
                if found.name in _OF_THE_PROCESS:
                    families.setdefault(found.name, found)
                else:
                    _add(families, service, found)
        yield from families.values()


def _add(families: dict[str, Metric], service: str, found: Metric) -> None:
    family = families.setdefault(found.name, Metric(found.name, found.documentation, found.type, found.unit))
    family.samples += [one._replace(labels={LABEL: service, **_others(one.labels)}) for one in found.samples]


def _others(labels: Mapping[str, str]) -> dict[str, str]:
    """Return a sample's own labels; one that is called as ours is renamed as Prometheus does."""
    return {f"exported_{name}" if name == LABEL else name: value for name, value in labels.items()}
