"""KEDA's ScaledObject: a service has as many pods as the lag of its topics calls for.

One trigger per topic, so that what a group once read and no longer subscribes never counts.
"""

from orderflow_model.flow import OrderFlow
from orderflow_model.names import group_name, object_name
from orderflow_model.placement import ServiceProcess
from orderflow_model.spec.services import Service
from orderflow_model.topics import event_topic
from orderflow_operator.kafka.connection import KafkaConnection
from orderflow_operator.kubernetes.kinds import SCALED_OBJECT
from orderflow_operator.kubernetes.labels import Object, new_object, service_labels
from orderflow_operator.resources import triggerauthentication

_SASL = {"SCRAM-SHA-256": "scram_sha256", "SCRAM-SHA-512": "scram_sha512"}


def name(flow: OrderFlow, process: str) -> str:
    """Return the object's name; KEDA's own autoscaler is called keda-hpa- and this."""
    return object_name(flow.metadata.name, process)


def build(flow: OrderFlow, process: ServiceProcess, connection: KafkaConnection) -> Object:
    """Return the object, one trigger per subscribed topic of a service; KEDA goes by the greatest."""
    built = new_object(SCALED_OBJECT, name(flow, process.name), flow, service_labels(flow, process.name))
    built["spec"] = {
        "scaleTargetRef": {"name": object_name(flow.metadata.name, process.name)},
        "minReplicaCount": process.scale.min,
        "maxReplicaCount": process.scale.max,
        "triggers": [
            _trigger(flow, service, event, connection) for service in process.services for event in service.subscribes
        ],
    }
    return built


def _trigger(flow: OrderFlow, service: Service, event: str, connection: KafkaConnection) -> Object:
    metadata = {
        "bootstrapServers": ",".join(_qualified(flow, server) for server in connection.bootstrap.split(",")),
        "consumerGroup": group_name(flow.metadata.name, service.name),
        "topic": event_topic(flow, flow.spec.event(event)).name,
        "lagThreshold": str(service.scale.lag),
        "offsetResetPolicy": "earliest",
    }
    if connection.tls:
        metadata["tls"] = "enable"
    if connection.mechanism:
        metadata["sasl"] = _SASL[connection.mechanism]
    trigger: Object = {"type": "kafka", "metadata": metadata}
    if triggerauthentication.is_needed(connection):
        trigger["authenticationRef"] = {"name": triggerauthentication.name(flow)}
    return trigger


def _qualified(flow: OrderFlow, server: str) -> str:
    """Return an address as KEDA's own namespace resolves it: a Service's short name is known in the flow's alone."""
    host, _, port = server.rpartition(":")
    return server if "." in host or ":" in host else f"{host}.{flow.metadata.namespace}.svc:{port}"
