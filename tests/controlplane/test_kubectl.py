"""What people do by kubectl goes as they are used to: files that say nothing new change nothing, nodes are drained."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import yaml

from support.cluster.operator_env import OperatorEnv
from support.flow.flows import Json, changed, pair, service, shop
from support.tools.names import unique_name

Kubectl = Callable[..., Awaitable[str]]

PARTS = {
    "scale": {"max": 3},
    "resources": {"requests": {"cpu": "50m"}, "limits": {"cpu": "1"}},
    "delivery": {"retries": 2},
    "env": [{"name": "TMPDIR", "value": "/somewhere"}],
}
"""Of each part of a service something, never all: what is left out has its default."""


@pytest.mark.parametrize(
    "flow", [shop(), pair(), changed(pair(), "spec.services.0", service("asker", publishes=["ASKED"], **PARTS))]
)
async def test_a_file_that_says_nothing_new_is_unchanged(
    env: OperatorEnv, kubectl: Kubectl, tmp_path: Path, flow: Json
) -> None:
    """`kubectl apply` of the same file says so, the first time and every other."""
    file = tmp_path / "flow.yaml"
    file.write_text(yaml.safe_dump(flow))
    apply = "apply", "-n", env.namespace, "-f", str(file)
    assert (await kubectl(*apply)).split()[-1] == "created"
    assert [(await kubectl(*apply)).split()[-1] for _ in range(2)] == ["unchanged", "unchanged"]


async def test_a_node_is_drained_without_a_word_about_data(env: OperatorEnv, kubectl: Kubectl) -> None:
    """No pod of a flow, a migration's neither, keeps anything that a drain would have to be allowed to delete."""
    await env.start()
    await env.apply(pair())
    await env.until_ready("pair")
    node = unique_name("node")
    await env.api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    try:
        pods = await env.api.list("Pod", env.namespace)
        for pod in pods:
            await _bind(env, pod["metadata"]["name"], node)
        said = await kubectl("drain", node, "--dry-run=server")
        assert {pod["metadata"]["name"] for pod in pods} <= set(said.replace("/", " ").split())
    finally:
        await env.api.delete("Node", "", node)


async def _bind(env: OperatorEnv, pod: str, node: str) -> None:
    """Say on which node a pod runs, as the scheduler would."""
    target = {"apiVersion": "v1", "kind": "Node", "name": node}
    body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}
    await env.api.call("POST", f"/api/v1/namespaces/{env.namespace}/pods/{pod}/binding", body)
