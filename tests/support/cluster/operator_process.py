"""The operator as a process, with an identity of its own, by which the audit log tells its calls apart."""

import json
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import yaml

from orderflow_cli.servers.child_process import kill_tree
from orderflow_cli.servers.ports import free_port
from support.cluster.api import Api, Json
from support.cluster.controlplane import ControlPlane
from support.flow.fleet import until
from support.tools.programs import Program, Start, forked

HOME = "default"
"""The namespace of all operators' accounts: where a flow's namespace ends, the operator goes on."""
ACCOUNT = "orderflow-operator"
_MANIFESTS = Path(__file__).parents[3] / "manifests"
_MODULE = "orderflow_operator"


async def make_account(api: Api, namespace: str, *everywhere: str) -> str:
    """Make the operator's account with the rights of manifests/rbac.yaml in one namespace, and give a token of it.

    `everywhere` names what of those rights it has in the whole cluster: the part behind `orderflow-operator` of a
    ClusterRole's name.
    """
    for role in roles():
        await api.apply(role)
    account = _account(namespace)
    await api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}}, HOME)
    await api.apply(_binding("RoleBinding", ACCOUNT, ACCOUNT, namespace), namespace)
    for part in ("-cluster", *everywhere):
        await bind_everywhere(api, namespace, part)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 86_400}}
    path = f"/api/v1/namespaces/{HOME}/serviceaccounts/{account}/token"
    return str((await api.call("POST", path, request))["status"]["token"])


async def bind_everywhere(api: Api, namespace: str, part: str = "") -> None:
    """Give a namespace's operator a part of the rights in all namespaces: they outlive its own."""
    name = f"{ACCOUNT}-{namespace}{part}"
    await api.apply(_binding("ClusterRoleBinding", name, f"{ACCOUNT}{part}", namespace))


def roles() -> list[Json]:
    """Give the cluster roles that the operator is shipped with."""
    documents = yaml.safe_load_all((_MANIFESTS / "rbac.yaml").read_text())
    return [document for document in documents if document["kind"] == "ClusterRole"]


def _binding(kind: str, name: str, role: str, namespace: str) -> Json:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": _account(namespace), "namespace": HOME}],
    }


def _account(namespace: str) -> str:
    """Give the name by which the audit log tells the operator of a namespace."""
    return f"{ACCOUNT}-{namespace}"


class OperatorProcess:
    """One operator; start, kill and start it again as often as the test wants.

    `program` is how, for who wants it as a cluster starts it.
    """

    def __init__(
        self, plane: ControlPlane, namespace: str, token: str, folder: Path, options: Sequence[str] = ()
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.user = f"system:serviceaccount:{HOME}:{_account(namespace)}"
        self.log = folder / "operator.log"
        self.http_port = free_port()
        self._plane = plane
        self._token = token
        self._kubeconfig = folder / "kubeconfig"
        self._options = list(options) or ["--namespace", namespace]
        self.program: Start = forked
        self._process: Program | None = None

    def start(self, url: str = "") -> None:
        """Start it, against the API server or a proxy before it."""
        self._kubeconfig.write_text(json.dumps(self._plane.config(self._token, url)))
        env = {**os.environ, "KUBECONFIG": str(self._kubeconfig)}
        arguments = ["-m", _MODULE, *self._options, "--http-port", str(self.http_port)]
        self._process = self.program(arguments, self.log, env, None)

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process number; it has been started."""
        assert self._process is not None
        return self._process.pid

    async def until_up(self) -> None:
        """Wait until it says that it is ready; fail with its log's end when it does not."""
        async with aiohttp.ClientSession() as http:
            try:
                await until(lambda: self._is_up(http), f"the operator is ready\n{self.tail()}", 90)
            finally:
                assert self.running, f"the operator ended:\n{self.tail()}"

    async def _is_up(self, http: aiohttp.ClientSession) -> bool:
        if not self.running:
            return True
        try:
            async with http.get(f"http://127.0.0.1:{self.http_port}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    def kill(self) -> None:
        """SIGKILL it, as a node's end would."""
        if self._process is not None:
            kill_tree(self._process.pid)
            self._process.wait()

    def stop(self) -> int | None:
        """Ask it to end, as a kubelet would; give its exit code."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._process.returncode

    def tail(self, lines: int = 25) -> str:
        """Give the end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
