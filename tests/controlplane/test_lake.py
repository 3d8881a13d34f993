"""The lake of a flow on a real API server: its pod comes after the tables that it reads, and goes with all it had."""

from support.cluster.operator_env import OperatorEnv
from support.flow.fleet import until
from support.flow.flows import changed, pair

KEYS = {
    "accessKeyId": {"secretKeyRef": {"name": "store", "key": "id"}},
    "secretAccessKey": {"secretKeyRef": {"name": "store", "key": "secret"}},
}
LAKE = {"url": "s3://lake/pair", "image": "example/lake:1", "endpoint": "http://store:9000", "credentials": KEYS}


async def test_a_lake_comes_with_all_that_it_needs_and_goes_with_it(env: OperatorEnv) -> None:
    """Pod, role, account, and the way to the store; nothing starts before its Secret is there and for flows."""
    kept = {"image": "example/raw:1", "retention": {"stored": "720h"}, "freshness": "1h"}
    flow = changed(pair(), "spec.analytics", kept | {"lake": LAKE})
    await env.start()
    await env.apply(flow)
    await env.until("pair", "Ready", "False", "SecretNotUsable")
    assert ("Deployment", "pair-lake") not in await env.made()
    await env.give_secret("store", {"id": "key", "secret": "secret"})
    await env.until_ready("pair")
    made = await env.made()
    assert {
        ("Deployment", "pair-lake"),
        ("ServiceAccount", "pair.lake"),
        ("Secret", "pair-lake.database"),
    } <= made.keys()
    ways = [port["port"] for rule in made["NetworkPolicy", "pair"]["spec"]["egress"] for port in rule.get("ports", ())]
    assert 9000 in ways
    assert made["Deployment", "pair-lake"]["spec"]["replicas"] == 1
    await env.apply(changed(flow, "spec.analytics", kept))

    async def gone() -> bool:
        return not [name for _, name in await env.made() if "lake" in name and "-migrate-" not in name]

    await until(gone, "nothing of the lake is left", 60)
    await env.until_ready("pair")
