"""The NetworkPolicy of a flow: its pods talk to DNS, Kafka, Postgres and the traces' collector, and are talked to on
their HTTP ports, by pods of the cluster on their metrics ports. Those of sources talk to queues and to the services,
the console's to these and to the provider of logins.

What a flow names it can reach in its own namespace alone: whoever may write flows opens no way out. Beyond it leads
what the administrator says of all flows, and what one service needs besides (a payment provider) is a policy of its
own, which Kubernetes adds to this one.
"""

from orderflow_model.flow import OrderFlow
from orderflow_model.placement import processes
from orderflow_model.spec.kafka import Provisioner
from orderflow_operator.kafka.connection import STRIMZI_PORT
from orderflow_operator.kubernetes.kinds import NETWORK_POLICY
from orderflow_operator.kubernetes.labels import FLOW_LABEL, Object, flow_labels, new_object
from orderflow_operator.resources.build_context import BuildContext, Port
from orderflow_operator.resources.kafkatopic import CLUSTER_LABEL
from orderflow_operator.resources.pod import metrics_port

_QUEUE_PORTS = (5671, 5672)
"""AMQP's, with TLS and without."""


def name(flow: OrderFlow) -> str:
    """Return the policy's name."""
    return flow.metadata.name


def build(flow: OrderFlow, context: BuildContext) -> Object:
    """Return the policy, which selects every pod of the flow and denies what it does not name."""
    built = new_object(NETWORK_POLICY, name(flow), flow, flow_labels(flow, "network"))
    running = processes(flow)
    ports = sorted({port for process in running for port in process.http_ports.values()})
    metrics = sorted({metrics_port(process) for process in running})
    built["spec"] = {
        "podSelector": {"matchLabels": {FLOW_LABEL: flow.metadata.name}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {"ports": [_tcp(port) for port in ports]},
            {"from": [{"namespaceSelector": {}}], "ports": [_tcp(port) for port in metrics]},
        ],
        "egress": [
            {"ports": [rule for port in context.network.dns_ports for rule in (_udp(port), _tcp(port))]},
            *_strimzi(flow),
            *_neighbours(context.ports),
            *_within(flow, ports),
            *context.network.egress,
        ],
    }
    return built


def _strimzi(flow: OrderFlow) -> list[Object]:
    if flow.spec.kafka.provisioner is not Provisioner.STRIMZI:
        return []
    brokers = {"matchLabels": {CLUSTER_LABEL: flow.spec.kafka.cluster, "strimzi.io/kind": "Kafka"}}
    return [{"to": [{"podSelector": brokers}], "ports": [_tcp(STRIMZI_PORT)]}]


def _within(flow: OrderFlow, ports: list[int]) -> list[Object]:
    """Return the ways to the flow's services, of sources and the console, and of sources to brokers beside them."""
    if not flow.spec.sources and flow.spec.console is None:
        return []
    takers = {"podSelector": {"matchLabels": {FLOW_LABEL: flow.metadata.name}}}
    queues = _neighbours(_QUEUE_PORTS) if flow.spec.sources else []
    return [{"to": [takers], "ports": [_tcp(port) for port in ports]}, *queues]


def _neighbours(ports: tuple[Port, ...]) -> list[Object]:
    return [{"to": [{"podSelector": {}}], "ports": [_tcp(port) for port in ports]}] if ports else []


def _tcp(port: Port) -> Object:
    return {"protocol": "TCP", "port": port}


def _udp(port: Port) -> Object:
    return {"protocol": "UDP", "port": port}
