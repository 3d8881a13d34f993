"""Monitors, rules and dashboard of a flow: there where the Prometheus operator's APIs are, and only there."""

import json

from support.cluster.controlplane import ControlPlane
from support.cluster.crd_install import install
from support.cluster.crds import prometheus_crds
from support.cluster.operator_env import OperatorEnv, new_env
from support.flow.fleet import until
from support.flow.flows import pair

MONITORING = {("PodMonitor", "pair"), ("PrometheusRule", "pair"), ("ConfigMap", "pair.dashboard")}


async def monitoring(env: OperatorEnv) -> set[tuple[str, str]]:
    """Give what of it there is."""
    return set(await env.made()) & MONITORING


async def test_a_flow_is_monitored_where_somebody_reads_it(env: OperatorEnv) -> None:
    """All three are there and as the API server takes them: pods by their labels, rules in groups, a JSON of panels."""
    await env.start()
    await env.apply(pair())
    await env.until_ready("pair")
    made = await env.made()
    assert set(made) >= MONITORING
    monitor = made["PodMonitor", "pair"]["spec"]
    pods = await env.api.list("Pod", env.namespace, "orderflow.dev/service")
    wanted = monitor["selector"]["matchLabels"]
    assert pods
    for pod in pods:
        assert wanted.items() <= pod["metadata"]["labels"].items()
        ports = [port["name"] for container in pod["spec"]["containers"] for port in container["ports"]]
        assert {endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]} <= set(ports)
    alerts = [rule for group in made["PrometheusRule", "pair"]["spec"]["groups"] for rule in group["rules"]]
    assert {rule["labels"]["namespace"] for rule in alerts if "alert" in rule} == {env.namespace}
    board = made["ConfigMap", "pair.dashboard"]
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(next(iter(board["data"].values())))["panels"]


async def test_monitoring_comes_and_goes_with_its_apis(private_plane: ControlPlane) -> None:
    """Nothing without the CRDs; all of it soon after they come; when one goes nothing is left, and the flow is well."""
    async with new_env(private_plane) as env:
        await env.start()
        await env.apply(pair())
        await env.until_ready("pair")
        assert await monitoring(env) == set()

        await install(private_plane, prometheus_crds())

        async def all_there() -> bool:
            return await monitoring(env) == MONITORING

        await until(all_there, "monitors, rules and dashboard are made", 60)

        await env.api.delete("CustomResourceDefinition", "", "podmonitors.monitoring.coreos.com")

        async def none_left() -> bool:
            return not await monitoring(env)

        await until(none_left, "rules and dashboard go too", 90)
        await env.until_ready("pair")
