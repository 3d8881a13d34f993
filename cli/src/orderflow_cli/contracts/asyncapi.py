"""A flow as an AsyncAPI document: its topics, the messages on them, and which service sends or receives what.

Source: AsyncAPI 3.1.0, its Kafka bindings 0.5.0; CloudEvents 1.0.2 in Kafka's binary mode for the headers.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from orderflow_cli.contracts.event_contract import EventContract
from orderflow_model.contracts.schema import Schema
from orderflow_model.flow import OrderFlow
from orderflow_model.names import group_name

_BINDING = "0.5.0"
_KEPT = ("cleanup.policy", "retention.ms", "retention.bytes", "delete.retention.ms", "max.message.bytes")
_HEADERS = "CloudEvent"
_PLACE = "#/components/schemas/"


def asyncapi(flow: OrderFlow, contracts: Iterable[EventContract]) -> dict[str, Any]:
    """Return the document as plain data, in the resource's order."""
    contracts = tuple(contracts)
    name = flow.metadata.name
    known = ((contract, contract.schema) for contract in contracts if contract.schema)
    schemas = {contract.event: _schema(contract, schema) for contract, schema in known}
    return {
        "asyncapi": "3.1.0",
        "info": {"title": name, "version": "1", "description": f"Events of the flow {name} and who exchanges them."},
        "defaultContentType": "application/json",
        "channels": {contract.event: _channel(contract) for contract in contracts},
        "operations": dict(_operations(name, contracts)),
        "components": {
            "messages": {contract.event: _message(contract) for contract in contracts},
            "schemas": {_HEADERS: _headers(), **schemas},
        },
    }


def _channel(contract: EventContract) -> dict[str, Any]:
    topic = contract.topic
    kept = {name: _setting(name, topic.config[name]) for name in _KEPT if name in topic.config}
    kafka = {"topic": topic.name, "partitions": topic.partitions, "replicas": topic.replicas}
    return {
        "address": topic.name,
        "messages": {contract.event: {"$ref": f"#/components/messages/{contract.event}"}},
        "bindings": {"kafka": {**kafka, "topicConfiguration": kept, "bindingVersion": _BINDING}},
    }


def _setting(name: str, value: str) -> Any:
    return value.split(",") if name == "cleanup.policy" else int(value)


def _operations(flow: str, contracts: Iterable[EventContract]) -> Iterator[tuple[str, dict[str, Any]]]:
    for contract in contracts:
        for service in contract.producers:
            yield f"{service}.send.{contract.event}", _operation("send", contract)
        for service in contract.consumers:
            group = {"type": "string", "enum": [group_name(flow, service)]}
            bindings = {"kafka": {"groupId": group, "bindingVersion": _BINDING}}
            yield f"{service}.receive.{contract.event}", _operation("receive", contract) | {"bindings": bindings}


def _operation(action: str, contract: EventContract) -> dict[str, Any]:
    channel = f"#/channels/{contract.event}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{contract.event}"}],
    }


def _message(contract: EventContract) -> dict[str, Any]:
    own = {"name": contract.event, "contentType": "application/json", "x-version": contract.version}
    if contract.words:
        own["summary"] = contract.words.partition("\n")[0]
    own["headers"] = {"$ref": _PLACE + _HEADERS}
    if contract.schema:
        own["payload"] = {"$ref": _PLACE + contract.event}
    key = {"type": "string", "description": "Events with the same key stay in order."}
    return own | {"bindings": {"kafka": {"key": key, "bindingVersion": _BINDING}}}


def _schema(contract: EventContract, schema: Schema) -> Any:
    """Return the schema of an event as a part of the document, with what it refers to inside of it."""
    left_out = ("$schema", "$comment", "$id")
    whole = {name: value for name, value in schema.items() if name not in left_out}
    return _moved(f"{_PLACE}{contract.event}", whole)


def _moved(place: str, node: Any) -> Any:
    """Return a part of a schema whose references point to where the document has what they mean."""
    if isinstance(node, list):
        return [_moved(place, one) for one in node]
    if not isinstance(node, dict):
        return node
    moved = {name: _moved(place, one) for name, one in node.items()}
    if isinstance(reference := node.get("$ref"), str):
        moved["$ref"] = place + reference.removeprefix("#")
    if isinstance(discriminator := node.get("discriminator"), dict) and "propertyName" in discriminator:
        moved["discriminator"] = discriminator["propertyName"]  # pydantic writes OpenAPI's form
    return moved


def _headers() -> dict[str, Any]:
    text = {"type": "string", "minLength": 1}
    described = {
        "ce_specversion": {"const": "1.0", "description": "The version of CloudEvents."},
        "ce_id": text | {"description": "With ce_source, tells the event from all others."},
        "ce_source": text | {"description": "Who published it."},
        "ce_type": text | {"description": "The event's name."},
        "ce_time": {"type": "string", "format": "date-time", "description": "When it happened."},
        "ce_dataversion": {"type": "string", "pattern": "^[0-9]+$", "description": "The version of its data."},
        "traceparent": {"type": "string", "description": "W3C Trace Context."},
        "tracestate": {"type": "string", "description": "W3C Trace Context."},
    }
    required = ["ce_specversion", "ce_id", "ce_source", "ce_type"]
    return {"type": "object", "required": required, "properties": described}
