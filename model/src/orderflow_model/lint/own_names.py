"""Lint of the names that programs of the platform have: no service, source or group takes one. Pure."""

from collections.abc import Iterator

from orderflow_model.findings import Finding
from orderflow_model.flow import OrderFlow


def taken_names(flow: OrderFlow, program: str, place: str) -> Iterator[Finding]:
    """Yield who is called as the program that a place of the resource implies, or would share a process with it."""
    named = {f"spec.services[{index}].name": one.name for index, one in enumerate(flow.spec.services)}
    named |= {f"spec.sources[{index}].name": one.name for index, one in enumerate(flow.spec.sources)}
    for at, name in named.items():
        if name == program:
            yield Finding(at, f"{program} is what {place} calls its own program")
    for index, group in enumerate(flow.spec.placement.groups if flow.spec.placement else ()):
        if program in group.services:
            words = f"{program} shares no process: it is not made of handlers, as services are"
            yield Finding(f"spec.placement.groups[{index}].services", words)
