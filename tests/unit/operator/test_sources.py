"""`spec.sources` on a cluster: a Deployment that reaches its queue and its taker, and proves itself to no Kafka."""

from typing import Any

from orderflow_model.loading.load import parse_flow
from orderflow_operator.resources.build_context import BuildContext, Database
from orderflow_operator.resources.desired import desired
from support.flow.queue_bench import SOURCE


def test_a_source_gets_pods_and_no_identity_at_kafka(document: dict[str, Any]) -> None:
    """Its URI stands in the Secret that the flow names; no KafkaUser is made, and no variable speaks of Kafka."""
    document["spec"]["sources"] = [SOURCE]
    objects = desired(parse_flow(document), BuildContext(keda=True, database=Database()))
    named = {one["kind"]: one for one in objects if one["metadata"]["labels"].get("orderflow.dev/service") == "erp"}
    container = named["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    env = {one["name"]: one for one in container["env"]}
    assert env["ERP_QUEUE_URI"]["valueFrom"]["secretKeyRef"] == {"name": "erp", "key": "uri"}
    assert [name for name in env if "KAFKA" in name] == []
    assert "KafkaUser" not in named
    assert named["Deployment"]["spec"]["replicas"] == 1


def test_the_ways_of_a_source_are_open_only_where_there_is_one(document: dict[str, Any]) -> None:
    """To the flow's own pods on their HTTP ports, and to brokers of the namespace by AMQP's ports."""
    without = egress(document)
    document["spec"]["sources"] = [SOURCE]
    opened = [rule for rule in egress(document) if rule not in without]
    flow = {"podSelector": {"matchLabels": {"orderflow.dev/flow": "shop"}}}
    assert {"to": [flow], "ports": [{"protocol": "TCP", "port": 8080}]} in opened
    amqp = [{"protocol": "TCP", "port": 5671}, {"protocol": "TCP", "port": 5672}]
    assert {"to": [{"podSelector": {}}], "ports": amqp} in opened
    assert len(opened) == 2


def egress(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return where the flow's pods may go."""
    objects = desired(parse_flow(document), BuildContext(database=Database()))
    policy = next(one for one in objects if one["kind"] == "NetworkPolicy")
    return list(policy["spec"]["egress"])
