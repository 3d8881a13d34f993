"""The picture of a flow as a Mermaid flowchart; `orderflow graph` prints it."""

from collections.abc import Iterator

from orderflow_model.flow import OrderFlow


def mermaid(flow: OrderFlow) -> str:
    """Return the flowchart: services as boxes, events as rounded boxes, compensations as dotted arrows."""
    return "\n".join(["flowchart LR", *(f"  {line}" for line in _lines(flow))]) + "\n"


def _lines(flow: OrderFlow) -> Iterator[str]:
    yield from (f"{_service(service.name)}[{service.name}]" for service in flow.services)
    yield from (f"{_event(event.name)}([{event.name}])" for event in flow.spec.events)
    for service in flow.services:
        yield from (f"{_service(service.name)} --> {_event(event)}" for event in service.publishes)
        yield from (f"{_event(event)} --> {_service(service.name)}" for event in service.subscribes)
    yield from _saga(flow)


def _saga(flow: OrderFlow) -> Iterator[str]:
    if flow.spec.saga:
        for compensation in flow.spec.saga.compensations:
            yield f"{_event(compensation.undo)} -. undone by .-> {_event(compensation.by)}"
        yield "classDef begins stroke-width:3px"
        yield "classDef ends stroke-width:3px,stroke-dasharray:4"
        yield f"class {_event(flow.spec.saga.begins)} begins"
        yield f"class {','.join(map(_event, flow.spec.saga.ends))} ends"


# Bare names would meet Mermaid's own words: a service may be called `end`.
def _service(name: str) -> str:
    return f"service_{name.replace('-', '_')}"


def _event(name: str) -> str:
    return f"event_{name}"
