"""`spec.analytics` on a cluster: the sink is served as any service, and may read only."""

from typing import Any

from orderflow_model.loading.load import parse_flow
from orderflow_operator.resources.build_context import BuildContext, Database
from orderflow_operator.resources.desired import desired


def test_the_sink_gets_what_every_service_gets_and_may_only_read(document: dict[str, Any]) -> None:
    """A Deployment, a migration, an identity and a scaler; of the flow's topics it writes its dead letters alone."""
    document["spec"]["analytics"] = {"image": "orderflow/services:dev", "scale": {"min": 1, "max": 4}}
    objects = desired(parse_flow(document), BuildContext(keda=True, database=Database()))
    kinds = {one["kind"] for one in objects if one["metadata"]["labels"].get("orderflow.dev/service") == "raw"}
    assert {"Deployment", "Job", "KafkaUser", "ScaledObject", "Service"} <= kinds
    user = next(one for one in objects if (one["kind"], one["metadata"]["name"]) == ("KafkaUser", "shop-raw"))
    acls = user["spec"]["authorization"]["acls"]
    written = {acl["resource"]["name"] for acl in acls if "Write" in acl["operations"]}
    read = {acl["resource"]["name"] for acl in acls if "Read" in acl["operations"]}
    assert written == {"shop.raw.dead-letters"}
    assert {"shop.order-created", "shop.order-completed"} <= read
