"""The processes of a flow, and their services. The operator makes a Deployment of each, a laptop a program.

What holds for a process of several services is made of what each says: its pods' resources are the group's or the sum,
there are as many as the most demanding service wants, and who has the same HTTP port as one before gets the next.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil

from orderflow_model.flow import OrderFlow
from orderflow_model.spec.placement import Placement, PlacementMode
from orderflow_model.spec.scalars import Quantity
from orderflow_model.spec.services import Limits, Requests, Resources, Scale, Service

TOGETHER = "together"
"""The process of all services that no group names, where these are together."""

_PYTHON = ("python", "python3")
_DIGITS = 6
_FIRST_PORT, _LAST_PORT = 1_024, 65_535
"""What a service's port may be."""


@dataclass(frozen=True)
class ServiceProcess:
    """A process and its services, in the order of the resource; `group` is that of a single service's name."""

    group: str
    services: tuple[Service, ...]
    given: Resources | None = None

    @property
    def name(self) -> str:
        """Return what tells it from every other: a group of other services is another process, which starts beside."""
        if not self.is_shared:
            return self.group
        members = ",".join(sorted(service.name for service in self.services))
        return f"{self.group}-{hashlib.sha256(members.encode()).hexdigest()[:_DIGITS]}"

    @property
    def is_shared(self) -> bool:
        """Whether there are several services in it."""
        return len(self.services) > 1

    @property
    def scale(self) -> Scale:
        """Return between how many pods it runs: as many as its most demanding service wants."""
        scales = [service.scale for service in self.services]
        return Scale(min=max(one.min for one in scales), max=max(one.max for one in scales))

    @property
    def http_drain(self) -> int:
        """Return for how many seconds a pod that is told to end serves on: as long as any of its services."""
        return max(service.http_drain.seconds for service in self.services)

    @property
    def resources(self) -> Resources:
        """Return the processors and memory of one pod."""
        if self.given is not None and self.is_shared:
            return self.given
        return _sum([service.resources for service in self.services])

    @property
    def http_ports(self) -> dict[str, int]:
        """Return the HTTP port of each service: its own, or where one before it has that, the next that is free."""
        ports: dict[str, int] = {}
        for service in self.services:
            port = service.http_port
            while port in ports.values():
                port = port + 1 if port < _LAST_PORT else _FIRST_PORT
            ports[service.name] = port
        return ports


def processes(flow: OrderFlow, placement: Placement | None = None) -> tuple[ServiceProcess, ...]:
    """Return the processes of a flow, by the placement given or its own; where it has none, each service has one.

    What the resource implies, as the sink of its events, is by itself unless a group names it.
    """
    placement = placement or flow.spec.placement or Placement()
    together = placement.mode is PlacementMode.TOGETHER
    group_of = {service: group.name for group in placement.groups for service in group.services}
    given = {group.name: group.resources for group in placement.groups}
    members: dict[str, list[Service]] = {}
    of_picture = {service.name for service in flow.spec.services}
    for service in flow.services:
        alone = TOGETHER if together and service.name in of_picture else service.name
        members.setdefault(group_of.get(service.name, alone), []).append(service)
    return tuple(
        ServiceProcess(name if len(services) > 1 else services[0].name, tuple(services), given.get(name))
        for name, services in members.items()
    )


def processes_by_service(flow: OrderFlow) -> dict[str, ServiceProcess]:
    """Return the process of each service."""
    return {service.name: process for process in processes(flow) for service in process.services}


def module_of(service: Service) -> str | None:
    """Return the module that a service's command runs, `python -m MODULE`; None for any other command."""
    match service.command:
        case (python, "-m", module) if python in _PYTHON:
            return module
    return None


def _sum(all_resources: Sequence[Resources]) -> Resources:
    if len(all_resources) == 1:
        return all_resources[0]
    requests, limits = ([one.requests for one in all_resources], [one.limits for one in all_resources])
    cpus = [one.cpu for one in limits if one.cpu is not None]
    return Resources.model_construct(  # a sum may be longer than what an author may write
        requests=Requests.model_construct(
            cpu=_processors([one.cpu for one in requests]), memory=_bytes([one.memory for one in requests])
        ),
        limits=Limits.model_construct(
            cpu=_processors(cpus) if len(cpus) == len(limits) else None, memory=_bytes([one.memory for one in limits])
        ),
    )


def _processors(amounts: Sequence[Quantity]) -> Quantity:
    thousandths = ceil(_total(amounts) * 1000)
    return Quantity(f"{thousandths}m" if thousandths % 1000 else f"{thousandths // 1000}")


def _bytes(amounts: Sequence[Quantity]) -> Quantity:
    """Return a sum in mebibytes, rounded up."""
    return Quantity(f"{ceil(_total(amounts) / 2**20)}Mi")


def _total(amounts: Sequence[Quantity]) -> Decimal:
    return sum((amount.amount for amount in amounts), Decimal(0))
