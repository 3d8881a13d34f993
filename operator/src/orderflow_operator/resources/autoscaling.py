"""What scales a service: KEDA on lag where its API is served, Kubernetes on processor load where not. Pure."""

from enum import StrEnum

from orderflow_model.spec.services import Service


class Scaler(StrEnum):
    """Who says how many pods there are."""

    FIXED = "Fixed"
    LAG = "Lag"
    LOAD = "Load"


def scaler(service: Service, keda: bool) -> Scaler:
    """Return who scales the service; lag speaks only of those who subscribe."""
    if service.scale.min == service.scale.max:
        return Scaler.FIXED
    return Scaler.LAG if keda and service.subscribes else Scaler.LOAD
