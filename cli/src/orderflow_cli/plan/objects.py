"""What a flow consists of where it runs, as plain facts by kind and name: derived from the resource by the model alone.

The operator makes more of it (network policies, alerts, …), which follows from these. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orderflow_model.flow import OrderFlow
from orderflow_model.names import object_name, schema_name
from orderflow_model.placement import ServiceProcess, processes
from orderflow_model.service_part import service_config
from orderflow_model.spec.services import Service
from orderflow_model.topics import event_topic, flow_topics

Facts = dict[str, str]
Objects = dict[tuple[str, str], Facts]

TOPIC, SCHEMA, RIGHTS, SERVICE, PROCESS, FLOW = "Topic", "Schema", "KafkaRights", "Service", "Process", "Flow"
_ELSEWHERE = {"events", "services", "defaults", "placement"}
_NAMES = ("name", "event", "undo")
"""What tells the members of a list apart."""


def flow_objects(flow: OrderFlow) -> Objects:
    """Return the facts of each object of a flow."""
    name = flow.metadata.name
    found: Objects = {(FLOW, name): dict(_flat(_dump(flow.spec, _ELSEWHERE)))}
    for topic in flow_topics(flow):
        found[TOPIC, topic.name] = {
            "partitions": str(topic.partitions), "replicas": str(topic.replicas), **topic.config
        }  # fmt: skip
    for event in flow.spec.events:
        found["Event", event.name] = dict(_flat(_dump(event, {"name", "topic"})))
    for service in flow.services:
        found[SCHEMA, schema_name(service.name)] = {}
        found[RIGHTS, object_name(name, service.name)] = _rights(flow, service)
        told = service_config(flow, service.name).model_dump(mode="json", by_alias=True, exclude_none=True)
        found[SERVICE, service.name] = dict(_flat(told))
    for process in processes(flow):
        found[PROCESS, object_name(name, process.name)] = _process(process)
    return found


def _rights(flow: OrderFlow, service: Service) -> Facts:
    return {
        verb: ", ".join(sorted(event_topic(flow, flow.spec.event(event)).name for event in events))
        for verb, events in (("reads", service.subscribes), ("writes", service.publishes))
    }


def _process(process: ServiceProcess) -> Facts:
    facts = {"services": ", ".join(service.name for service in process.services)}
    facts["pods"] = f"{process.scale.min} to {process.scale.max}"
    facts |= _flat(_dump(process.resources, set()), "resources")
    told = {"subscribes", "publishes", "delivery", "pace", "scale", "resources", "name"}  # stands elsewhere
    for service in process.services:
        facts |= _flat(_dump(service, told), service.name if process.is_shared else "")
    return facts


def _dump(part: Any, leave_out: set[str]) -> dict[str, Any]:
    dumped: dict[str, Any] = part.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=leave_out)
    return dumped


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each scalar with its path; a list of objects goes by their names, one of scalars is one fact."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        if all(isinstance(item, Mapping) for item in value):
            for number, item in enumerate(value):
                yield from _flat(item, f"{path}[{next((item[n] for n in _NAMES if n in item), number)}]")
        else:
            yield path, ", ".join(map(str, value))
    else:
        yield path, str(value)
