"""The NetworkPolicy of a flow: its pods talk to DNS, Kafka, Postgres and the traces' collector, and are talked to on
their HTTP ports.

What one service needs beyond that (a payment provider) is a policy of its own, which Kubernetes adds to this one.
"""

from orderflow_model.flow import OrderFlow
from orderflow_model.kafka import Provisioner
from orderflow_operator.broker import STRIMZI_PORT
from orderflow_operator.resources.kafkatopic import CLUSTER_LABEL
from orderflow_operator.resources.metadata import FLOW_LABEL, Object, flow_labels, new_object
from orderflow_operator.surroundings import Database

KIND = "NetworkPolicy"


def name(flow: OrderFlow) -> str:
    """Return the policy's name."""
    return flow.metadata.name


def build(flow: OrderFlow, database: Database) -> Object:
    """Return the policy, which selects every pod of the flow and denies what it does not name."""
    built = new_object("networking.k8s.io/v1", KIND, name(flow), flow, flow_labels(flow, "network"))
    ports = sorted({service.http_port for service in flow.spec.services})
    built["spec"] = {
        "podSelector": {"matchLabels": {FLOW_LABEL: flow.metadata.name}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": [_tcp(port) for port in ports]}],
        "egress": [
            {"ports": [{"protocol": "UDP", "port": 53}, _tcp(53)]},
            {"ports": [_tcp(port) for port in database.ports]},
            _kafka(flow),
            *_collector(flow),
        ],
    }
    return built


def _kafka(flow: OrderFlow) -> Object:
    kafka = flow.spec.kafka
    if kafka.provisioner is Provisioner.STRIMZI:
        brokers = {"matchLabels": {CLUSTER_LABEL: kafka.cluster, "strimzi.io/kind": "Kafka"}}
        return {"to": [{"podSelector": brokers}], "ports": [_tcp(STRIMZI_PORT)]}
    ports = sorted({int(server.rpartition(":")[2]) for server in kafka.bootstrap_servers})
    return {"ports": [_tcp(port) for port in ports]}


def _collector(flow: OrderFlow) -> list[Object]:
    port = flow.spec.tracing.port
    return [{"ports": [_tcp(port)]}] if port else []


def _tcp(port: int) -> Object:
    return {"protocol": "TCP", "port": port}
