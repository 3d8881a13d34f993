"""What scales a process: KEDA on lag where its API is served, Kubernetes on processor load where not. Pure."""

from enum import StrEnum

from orderflow_model.placement import ServiceProcess


class Scaler(StrEnum):
    """Who says how many pods there are."""

    FIXED = "Fixed"
    LAG = "Lag"
    LOAD = "Load"


def scaler(process: ServiceProcess, keda: bool) -> Scaler:
    """Return who scales a process; lag speaks only of services that subscribe."""
    if process.scale.min == process.scale.max:
        return Scaler.FIXED
    return Scaler.LAG if keda and any(one.subscribes for one in process.services) else Scaler.LOAD
