"""A real control plane for tests: etcd, kube-apiserver and kube-controller-manager as processes on free loopback ports.

There is no node: Deployments get ReplicaSets and Pods, which nobody runs.
`tests/support/cluster/kubelet.py` plays the pods.
"""

import json
import os
import secrets
import signal
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from orderflow_cli.servers import child_process
from orderflow_cli.servers.ports import free_port
from support.cluster.audit import AuditLog, Call
from support.tools.certificates import certificates

# Memory is plenty and cores are few: garbage is collected seldom, until there is much of it.
_GO = {"GOGC": "1600", "GOMEMLIMIT": "2GiB"}
# Pods have addresses of loopback, of which these controllers make nothing, again and again.
_WITHOUT = ("endpoints-controller", "endpointslice-controller", "endpointslice-mirroring-controller")

_AUDIT = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, verbs: [create, update, patch, delete, deletecollection]}
- {level: Metadata, userGroups: ["system:serviceaccounts"]}
- {level: None}
"""


class ControlPlane:
    """Three processes and a kubeconfig; `start` returns when the API server is ready (about 6 s).

    One that another process has started is reached by its `words`; who reaches it neither stops nor restarts it.
    """

    def __init__(self, programs: Path, folder: Path, url: str = "", token: str = "") -> None:
        self._programs = programs
        self.folder = folder
        self.url = url or f"https://127.0.0.1:{free_port()}"
        self.token = token or secrets.token_urlsafe(24)
        self.kubeconfig = folder / "kubeconfig"
        self._audit = AuditLog(folder / "audit.jsonl")
        self._etcd_url = f"http://127.0.0.1:{free_port()}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def words(self) -> tuple[str, ...]:
        """Return what another process makes its own object of, by `ControlPlane.of`."""
        return str(self._programs), str(self.folder), self.url, self.token

    @classmethod
    def of(cls, words: tuple[str, ...]) -> Self:
        """Return the control plane that another process has started."""
        programs, folder, url, token = words
        return cls(Path(programs), Path(folder), url, token)

    def start(self, *, controllers: bool = True) -> None:
        """Start etcd, the API server and the controller manager, or only the first two."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_files()
        self._spawn("etcd", self._etcd())
        self._spawn("kube-apiserver", self._apiserver())
        self._wait("kube-apiserver", self._ready)
        if controllers:
            self._spawn("kube-controller-manager", self._controllers())

    def stop(self) -> None:
        """End all; the folder is its owner's."""
        for process in reversed(self._processes.values()):
            child_process.stop(process, signal.SIGKILL, grace_s=10)
        self._processes.clear()

    def restart_apiserver(self) -> None:
        """Kill the API server and start it again on the same port: every watch ends."""
        child_process.stop(self._processes["kube-apiserver"], signal.SIGKILL, grace_s=10)
        self._spawn("kube-apiserver", self._apiserver())
        self._wait("kube-apiserver", self._ready)

    def processes(self) -> dict[str, int]:
        """The process number of each program."""
        return {name: process.pid for name, process in self._processes.items()}

    def calls(self, user: str) -> list[Call]:
        """Return a user's audited calls so far: every write, and every call of a service account."""
        return self._audit.calls(user)

    def writes(self, user: str) -> list[Call]:
        """Return a user's calls so far that change something."""
        changing = (call for call in self.calls(user) if call["verb"] not in ("get", "list", "watch"))
        return [call for call in changing if "only_tried" not in call]

    def _spawn(self, name: str, arguments: list[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            command = [str(self._programs / name), *arguments]
            self._processes[name] = child_process.spawn(command, output=log, env={**os.environ, **_GO})

    def _wait(self, name: str, ready: "child_process.Callable[[], bool]") -> None:
        child_process.wait_until(ready, self._processes[name], name, self.folder / f"{name}.log", timeout_s=90)

    def _ready(self) -> bool:
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(f"{self.url}/readyz", headers=headers)  # noqa: S310 - our own server
        context = ssl._create_unverified_context()  # noqa: S323 - our own server, on loopback
        try:
            with urllib.request.urlopen(request, timeout=2, context=context) as answer:  # noqa: S310 - as above
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def _write_files(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL)
        (self.folder / "accounts.key").write_bytes(key.private_bytes(*pem, serialization.NoEncryption()))
        (self.folder / "tokens.csv").write_text(f'{self.token},admin,admin,"system:masters"\n')
        (self.folder / "audit.yaml").write_text(_AUDIT)
        self.kubeconfig.write_text(json.dumps(self.config(self.token)))
        # of an elliptic curve: to sign by the RSA key that the server makes itself is most of each handshake's work
        _, served_key, certificate = certificates()
        (self.folder / "tls.key").write_text(served_key)
        (self.folder / "tls.crt").write_text(certificate)

    def config(self, token: str, url: str = "") -> dict[str, object]:
        """A kubeconfig for a bearer token, for the API server or for a proxy before it."""
        cluster = {"server": url or self.url, "insecure-skip-tls-verify": True}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "tests",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "tests", "user": {"token": token}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        }

    def _etcd(self) -> list[str]:
        peer = f"http://127.0.0.1:{free_port()}"
        return [
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={self._etcd_url}",
            f"--advertise-client-urls={self._etcd_url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def _apiserver(self) -> list[str]:
        key = self.folder / "accounts.key"
        return [
            f"--etcd-servers={self._etcd_url}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.url.rpartition(':')[2]}",
            f"--tls-cert-file={self.folder / 'tls.crt'}",
            f"--tls-private-key-file={self.folder / 'tls.key'}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://tests.invalid",
            f"--service-account-signing-key-file={key}",
            f"--service-account-key-file={key}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--disable-admission-plugins=ServiceAccount",
            f"--audit-policy-file={self.folder / 'audit.yaml'}",
            f"--audit-log-path={self._audit.path}",
            "--audit-log-batch-max-size=1",
            "--audit-log-maxsize=4096",
            "--enable-priority-and-fairness=false",
            "--profiling=false",
        ]

    def _controllers(self) -> list[str]:
        return [
            f"--kubeconfig={self.kubeconfig}",
            f"--service-account-private-key-file={self.folder / 'accounts.key'}",
            "--use-service-account-credentials=false",
            "--leader-elect=false",
            f"--controllers=*,{','.join(f'-{name}' for name in _WITHOUT)}",
            "--secure-port=0",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            "--concurrent-gc-syncs=20",
        ]
