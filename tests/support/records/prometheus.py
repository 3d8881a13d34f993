"""A real Prometheus for tests: it scrapes what it is told, by a PodMonitor's relabelings, and evaluates a flow's rules.

The machine's own is used (Debian's package `prometheus`), else one is compiled once; see go_tools.py.
"""

import json
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orderflow_cli.servers import child_process
from orderflow_cli.servers.ports import free_port
from support.tools.go_tools import prometheus_programs

Json = dict[str, Any]
_PROGRAMS = ("prometheus", "promtool")


@dataclass(frozen=True)
class Target:
    """Where a process serves its metrics, and what Kubernetes would say of its pod."""

    port: int
    flow: str
    namespace: str
    service: str
    pod: str

    def found(self) -> Json:
        """Give it as Prometheus's discovery of pods would."""
        meta = {
            "pod_label_orderflow_dev_flow": self.flow,
            "pod_label_orderflow_dev_service": self.service,
            "namespace": self.namespace,
            "pod_name": self.pod,
        }
        labels = {f"__meta_kubernetes_{name}": value for name, value in meta.items()}
        return {"targets": [f"127.0.0.1:{self.port}"], "labels": labels}


def programs() -> dict[str, str]:
    """Where `prometheus` and `promtool` are; the test is skipped where they can neither be found nor compiled."""
    if all(found := {name: shutil.which(name) for name in _PROGRAMS}.values()):
        return dict(zip(_PROGRAMS, map(str, found), strict=True))
    folder = prometheus_programs()
    return {name: str(folder / name) for name in _PROGRAMS}


def promtool(*arguments: str, folder: Path) -> str:
    """Run promtool and give what it says; AssertionError with it when it finds fault."""
    done = subprocess.run([programs()["promtool"], *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"promtool {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


class Prometheus:
    """One server on a free port; `folder` holds its data, its log and its configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, monitor: Json, rules: Json, targets: Iterable[Target], every: str = "1s") -> None:
        """Scrape targets as a PodMonitor says, and evaluate the groups of a PrometheusRule as often."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "rules.yaml").write_text(yaml.safe_dump({"groups": rules["spec"]["groups"]}))
        (self.folder / "prometheus.yaml").write_text(yaml.safe_dump(_configuration(monitor, targets, every)))
        command = [
            programs()["prometheus"],
            f"--config.file={self.folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--enable-feature=exemplar-storage",
        ]
        with (log := self.folder / "prometheus.log").open("ab") as output:
            self._process = child_process.spawn(command, output=output)
        child_process.wait_until(self._ready, self._process, "prometheus", log, timeout_s=60)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            child_process.stop(self._process, signal.SIGTERM, grace_s=10)

    def query(self, expr: str, at: float | None = None) -> list[Json]:
        """Give the series of an expression at a time, now if none is given."""
        return list(self.get("query", query=expr, time=str(at or time.time()))["result"])

    def course(self, expr: str, start: float, end: float, step: float) -> list[Json]:
        """Give the series of an expression over a time."""
        return list(self.get("query_range", query=expr, start=str(start), end=str(end), step=str(step))["result"])

    def value(self, expr: str) -> float | None:
        """Give the first value of an expression; None when it has none."""
        found = self.query(expr)
        return float(found[0]["value"][1]) if found else None

    def get(self, path: str, **query: str) -> Any:
        """Ask its API; AssertionError with its words when it refuses."""
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - our own server, on loopback
                return json.load(answer)["data"]
        except urllib.error.HTTPError as refused:
            raise AssertionError(f"{query}: {refused.read().decode()}") from None

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2) as answer:  # noqa: S310 - as above
                return bool(answer.status == 200)
        except OSError:
            return False


def _configuration(monitor: Json, targets: Iterable[Target], every: str) -> Json:
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    return {
        "global": {"scrape_interval": every, "evaluation_interval": every},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            {
                "job_name": monitor["metadata"]["name"],
                "metrics_path": endpoint["path"],
                "relabel_configs": [_relabeling(one) for one in endpoint["relabelings"]],
                "static_configs": [target.found() for target in targets],
            }
        ],
    }


def _relabeling(one: Mapping[str, Any]) -> Json:
    """As the Prometheus operator translates it."""
    return {"action": one["action"], "source_labels": one["sourceLabels"], "target_label": one["targetLabel"]}
