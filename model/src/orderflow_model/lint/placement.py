"""Lint of `spec.placement`: who shares a process is there, once, and made of one image."""

from collections.abc import Iterator

from orderflow_model.findings import Finding, did_you_mean, path_of
from orderflow_model.flow import OrderFlow
from orderflow_model.placement import TOGETHER, ServiceProcess, module_of, processes
from orderflow_model.service_part import service_config
from orderflow_model.spec.placement import Placement, PlacementMode

_TOLD_BYTES = 240 * 1024
"""Of the 256 KiB that the annotations of a pod may have in all; others add theirs."""


def lint_placement(flow: OrderFlow) -> Iterator[Finding]:
    """Find what keeps services from sharing a process."""
    yield from _group_names(flow)
    yield from _members(flow)
    for process in processes(flow):
        yield from _ports(flow, process)
        if process.is_shared:
            yield from _process(flow, process)


def _group_names(flow: OrderFlow) -> Iterator[Finding]:
    """Find groups that are called as what runs beside them."""
    names, placement = {service.name for service in flow.services}, flow.spec.placement or Placement()
    for index, group in enumerate(placement.groups):
        place = path_of(("spec", "placement", "groups", index, "name"))
        if group.name == TOGETHER and placement.mode is PlacementMode.TOGETHER:
            words = f"{TOGETHER} is what the process of all other services is called: call the group otherwise"
            yield Finding(place, words)
        if group.name in names.difference(group.services):
            yield Finding(place, f"{group.name} is a service that is not in the group: call the group otherwise")


def _members(flow: OrderFlow) -> Iterator[Finding]:
    names, owner = [service.name for service in flow.services], dict[str, str]()
    placement = flow.spec.placement or Placement()
    for index, group in enumerate(placement.groups):
        for position, service in enumerate(group.services):
            place = path_of(("spec", "placement", "groups", index, "services", position))
            if service not in names:
                yield Finding(place, f"there is no service {service}{did_you_mean(service, names)}")
            elif owner.setdefault(service, group.name) != group.name:
                yield Finding(place, f"{service} is in group {owner[service]} already")


def _process(flow: OrderFlow, process: ServiceProcess) -> Iterator[Finding]:
    first = process.services[0]
    place = _place_of(flow, process)
    if process.name in {service.name for service in flow.services}:
        yield Finding(place, f"its process is called as service {process.name}: call one of them otherwise")
    if (size := _told_size(flow, process)) > _TOLD_BYTES:
        words = f"what its services are told is {size // 1024} KiB, more than a pod takes ({_TOLD_BYTES // 1024} KiB)"
        yield Finding(place, f"{words}: part them")
    for service in process.services:
        if service.image != first.image:
            yield Finding(
                place,
                f"{first.name} and {service.name} share a process, but not an image: {first.image}, {service.image}",
            )
        if module_of(service) is None:
            words = "its command is not [python, -m, MODULE], which says where its build is"
            yield Finding(place, f"{service.name} cannot share a process: {words}")


def _ports(flow: OrderFlow, process: ServiceProcess) -> Iterator[Finding]:
    """Find programs beside a process that would listen where somebody else in its pods does."""
    taken = {port: f"the dispatcher of {name}" for name, port in process.http_ports.items()}
    for index, service in enumerate(flow.spec.services):
        if service.push is None or service.name not in process.http_ports:
            continue
        owner = taken.setdefault(service.push.port, f"the program of {service.name}")
        if owner != f"the program of {service.name}":
            place = path_of(("spec", "services", index, "push", "port"))
            yield Finding(place, f"{owner} listens on {service.push.port} in the same pod: give another port")


def _told_size(flow: OrderFlow, process: ServiceProcess) -> int:
    """Return how long the annotations are by which the pods of a process are told of their services."""
    declared = {event.name for event in flow.spec.events}
    sound = [one for one in process.services if declared.issuperset((*one.subscribes, *one.publishes))]
    return sum(len(service_config(flow, service.name).model_dump_json().encode()) for service in sound)


def _place_of(flow: OrderFlow, process: ServiceProcess) -> str:
    """Return where the resource puts these services into one process."""
    groups = [group.name for group in flow.spec.placement.groups] if flow.spec.placement else []
    if process.group in groups:
        return path_of(("spec", "placement", "groups", groups.index(process.group)))
    return path_of(("spec", "placement", "mode"))
