"""A person who may create, change and delete OrderFlows in one namespace, and nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support.cluster.api import Api, Json
from support.cluster.controlplane import ControlPlane
from support.cluster.operator_env import OperatorEnv

NAME = "author"
_RBAC = "rbac.authorization.k8s.io"
_RULE = {
    "apiGroups": ["orderflow.dev"],
    "resources": ["orderflows"],
    "verbs": ["get", "list", "create", "patch", "update", "delete"],
}


class Author(OperatorEnv):
    """The environment as that person has it: the same words, with no more rights than that."""

    def __init__(self, api: Api, owner: OperatorEnv) -> None:
        super().__init__(api, owner.namespace, owner.operator, owner.plane)
        self._owner = owner

    async def submit(self, flow: Json) -> None:
        """Apply a flow; the Secret of its database is made by the owner of the namespace."""
        await self._owner.give_database(flow)
        await self.apply(flow, database=False)

    async def end(self, name: str) -> None:
        """Delete a flow and wait until it is gone."""
        await self.api.delete("OrderFlow", self.namespace, name)
        await self.until_gone("OrderFlow", name)


@asynccontextmanager
async def author_of(env: OperatorEnv, plane: ControlPlane) -> AsyncIterator[Author]:
    """Return such a person in the namespace of an environment."""
    api, namespace, rbac = env.api, env.namespace, f"{_RBAC}/v1"
    await api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME}}, namespace)
    await api.apply({"apiVersion": rbac, "kind": "Role", "metadata": {"name": NAME}, "rules": [_RULE]}, namespace)
    binding = {
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": NAME},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": namespace}],
    }
    await api.apply({"apiVersion": rbac, "kind": "RoleBinding", "metadata": {"name": NAME}} | binding, namespace)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 86_400}}
    answer = await api.call("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{NAME}/token", request)
    async with Api(plane.url, str(answer["status"]["token"])) as client:
        yield Author(client, env)
