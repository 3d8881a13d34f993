"""Helm as the tests of the charts run it, and the sets of values that they render the charts with."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from support.tools.go_tools import go_program

ROOT = Path(__file__).parents[3]
OPERATOR = ROOT / "charts" / "orderflow-operator"
PLATFORM = ROOT / "charts" / "orderflow-platform"
CHARTS = (OPERATOR, PLATFORM)
KUBERNETES = "1.36.3"

Json = dict[str, Any]

_IMAGE = f"sha256:{'0' * 64}"
MATRIX: dict[Path, dict[str, Json]] = {
    OPERATOR: {
        "as it comes": {},
        "of two namespaces": {"watchNamespaces": ["shop", "warehouse"], "logLevel": "DEBUG"},
        "without the webhook": {"webhook": {"enabled": False}},
        "with a webhook by cert-manager": {"webhook": {"certificate": "CertManager"}},
        "with a webhook by an issuer": {
            "webhook": {"certificate": "CertManager", "failurePolicy": "Fail"}
            | {"issuerRef": {"kind": "ClusterIssuer", "name": "ca"}}
        },
        "with all there is": {
            "image": {"digest": _IMAGE, "pullPolicy": "Always"},
            "imagePullSecrets": [{"name": "registry"}],
            "nameOverride": "flows",
            "flowEgress": [
                {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"protocol": "TCP", "port": 5432}]},
                {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kafka"}}}]},
            ],
            "dnsPorts": [1053],
            "networkPolicy": {"kafkaPorts": [9092, "19092-19099"]},
            "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
            "podDisruptionBudget": {"enabled": True},
            "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
            "podLabels": {"team": "events"},
            "podAnnotations": {"team": "events"},
            "priorityClassName": "system-cluster-critical",
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"key": "reserved", "operator": "Exists", "effect": "NoSchedule"}],
            "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        },
        "with little": {
            "crds": {"install": False},
            "rbac": {"create": False},
            "serviceAccount": {"create": False, "name": "made-by-others"},
            "networkPolicy": {"enabled": False},
            "fullnameOverride": "operator",
        },
    },
    PLATFORM: {
        "as it comes": {},
        "on Strimzi": {"kafka": {"type": "Strimzi"}},
        "on one node of Strimzi": {"kafka": {"type": "Strimzi", "strimzi": {"nodes": 1}}, "storageClass": "fast"},
        "with a collector": {"collector": {"enabled": True, "endpoint": "tempo.tracing:4317"}},
        "with little": {"paymentProvider": {"enabled": False}, "kafka": {"type": "Broker"}},
        "with Secrets of one's own": {
            "kafka": {"type": "Broker", "broker": {"existingSecret": "my-kafka"}},
            "postgres": {"existingSecret": "my-postgres", "existingUriSecret": "my-db"},
        },
        "from a registry of one's own": {"imagePullSecrets": [{"name": "registry"}], "pullPolicy": "Always"},
    },
}
CASES = [(chart, name) for chart, cases in MATRIX.items() for name in cases]


def helm_program(major: int) -> Path:
    """Return the helm command of a major version; it is compiled when it is not cached."""
    return go_program("helm", f"helm.sh/helm/v{major}/cmd/helm")


class HelmError(Exception):
    """Helm refused; the text is what it said."""


MAJORS = (3, 4)
"""Those that people have: what the charts make is asked of both."""


class Helm:
    """The helm command of a major version; with a kubeconfig it speaks to that cluster, without one to none."""

    def __init__(self, folder: Path, major: int, kubeconfig: Path | None = None) -> None:
        self.major = major
        self._program = str(helm_program(major))
        homes = {f"HELM_{home}_HOME": str(folder / home) for home in ("CACHE", "CONFIG", "DATA")}
        self._env = os.environ | homes | {"KUBECONFIG": str(kubeconfig or folder / "no-cluster")}

    def run(self, *arguments: str | Path, values: Json | None = None) -> str:
        """Run a command, with values that stand before the chart's; HelmError when it fails."""
        command = [self._program, *map(str, arguments), *(["--values", "-"] if values else [])]
        given = json.dumps(values) if values else None
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, env=self._env)
        if done.returncode != 0:
            raise HelmError(done.stderr + done.stdout)
        return done.stdout

    def render(self, chart: Path, values: Json | None = None, *options: str, namespace: str = "shop") -> list[Json]:
        """Give the objects that a chart makes of values; the release is called after the chart."""
        place = ("--namespace", namespace, "--kube-version", KUBERNETES, *options)
        return list(filter(None, yaml.safe_load_all(self.run("template", chart.name, chart, *place, values=values))))


def pod_templates(objects: list[Json]) -> dict[str, Json]:
    """Give the pods that objects make, by the object's kind and name."""
    return {
        f"{item['kind']} {item['metadata']['name']}": item["spec"]["template"]
        for item in objects
        if "template" in item.get("spec", {}) and "spec" in item["spec"]["template"]
    }
