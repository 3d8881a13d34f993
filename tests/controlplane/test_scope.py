"""Which namespaces an operator speaks for: one, some, or all, by a flag and by what its account may do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from support.cluster.api import Api
from support.cluster.controlplane import ControlPlane
from support.cluster.operator_env import OperatorEnv, new_namespace
from support.cluster.operator_process import OperatorProcess, make_account
from support.flow.flows import changed, pair
from support.tools.names import unique_name


@pytest.fixture
async def two(api: Api) -> AsyncIterator[tuple[str, str]]:
    """Two namespaces of the test's own."""
    async with two_namespaces(api) as both:
        yield both


@asynccontextmanager
async def two_namespaces(api: Api) -> AsyncIterator[tuple[str, str]]:
    """Make two namespaces, and remove them."""
    async with new_namespace(api, unique_name("ns")) as one, new_namespace(api, unique_name("ns")) as other:
        yield one, other


async def flows_of(api: Api, plane: ControlPlane, operator: OperatorProcess, two: tuple[str, str]) -> AsyncExitStack:
    """Apply the small flow in both namespaces, where doubles are at work, and start the operator."""
    stack = AsyncExitStack()
    for namespace in two:
        env = await stack.enter_async_context(OperatorEnv(api, namespace, operator, plane).open())
        await env.apply(pair())
    await env.start()
    return stack


async def test_an_operator_of_all_namespaces_keeps_the_flows_of_each(
    private_plane: ControlPlane, scratch: Path
) -> None:
    """Flows of one name live in two namespaces, edits in each are taken up, and no right is missed."""
    async with Api(private_plane.url, private_plane.token) as api, two_namespaces(api) as two:
        token = await make_account(api, two[0], "")
        operator = OperatorProcess(private_plane, two[0], token, scratch / f"all-{two[0]}", ["--all-namespaces"])
        async with await flows_of(api, private_plane, operator, two):
            envs = [OperatorEnv(api, namespace, operator, private_plane) for namespace in two]
            for env in envs:
                await env.until_ready("pair")
            await envs[1].apply(changed(pair(), "spec.services.0.image", "example/asker:2"))
            await envs[1].until_ready("pair")
            made = [(await env.made())["Deployment", "pair-asker"] for env in envs]
            images = [one["spec"]["template"]["spec"]["containers"][0]["image"] for one in made]
            assert images == ["example/asker:1", "example/asker:2"]
            assert not [call for call in private_plane.calls(operator.user) if call["code"] == "403"]


async def test_an_operator_of_one_namespace_leaves_the_others_alone(
    api: Api, served: ControlPlane, two: tuple[str, str], scratch: Path
) -> None:
    """It reads and writes nothing there, and the flow there waits for an operator of its own."""
    token = await make_account(api, two[0])
    operator = OperatorProcess(served, two[0], token, scratch / f"one-{two[0]}", ["--namespace", two[0]])
    async with await flows_of(api, served, operator, two):
        ours, theirs = (OperatorEnv(api, namespace, operator, served) for namespace in two)
        await ours.until_ready("pair")
        await asyncio.sleep(1)
        assert "status" not in (await theirs.flow("pair") or {})
        assert await theirs.made() == {}
        assert not [call for call in served.calls(operator.user) if call.get("namespace") == two[1]]


async def test_an_operator_of_some_namespaces_keeps_the_flows_of_those(
    api: Api, served: ControlPlane, two: tuple[str, str], scratch: Path
) -> None:
    """The flag may be repeated; the account needs its rights in each."""
    token = await make_account(api, two[0])
    await bind(api, two)
    options = ["--namespace", two[0], "--namespace", two[1]]
    operator = OperatorProcess(served, two[0], token, scratch / f"some-{two[0]}", options)
    async with await flows_of(api, served, operator, two):
        for namespace in two:
            await OperatorEnv(api, namespace, operator, served).until_ready("pair")


async def bind(api: Api, two: tuple[str, str]) -> None:
    """Give the account of the first namespace its rights in the second too."""
    account = await api.get("RoleBinding", two[0], "orderflow-operator") or {}
    binding = {key: account[key] for key in ("roleRef", "subjects")}
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding"}
    await api.apply(head | {"metadata": {"name": "orderflow-operator"}} | binding, two[1])
