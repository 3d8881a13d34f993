"""A pod's container as a process on this machine, with exactly the pod's environment and files; for
`support.cluster.kubelet`.

What differs from a node is only what has to: files stand under a folder instead of at the root, so a variable that
names a mounted path names it there; the names of the cluster's network are addresses on loopback; the pod's own address
is one of 127.0.0.0/8, so that every pod may listen on the same port; and the command, always
Python's, is run by the one that runs the tests.
"""

import base64
import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orderflow_cli.servers.child_process import kill_tree
from support.cluster.api import Api, Json
from support.tools.programs import Program, executed, forked

_IMAGE_ENV = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
_EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - as the pod's specification has it; mapped to the pod's own address
_KNOWN = {"configMapKeyRef", "secretKeyRef", "fieldRef"}


class MissingReference(Exception):  # noqa: N818 - a state that passes
    """A ConfigMap, Secret or key that the pod names is not there: the container waits for it."""


class PodProcess:
    """One pod's only container; `prepare`, then `start`, and `stop` when the pod goes."""

    def __init__(self, api: Api, pod: Json, folder: Path, address: str, network: Mapping[str, str]) -> None:
        self.pod = pod
        self.address = address
        (self.container,) = pod["spec"]["containers"]
        self._api = api
        self._root = folder / "root"
        self._network = network
        self.log = folder / "log"
        self.env: dict[str, str] = {}
        self._process: Program | None = None

    async def prepare(self) -> None:
        """Write the mounted files and resolve the environment; MissingReference when something is not there."""
        self._root.mkdir(parents=True, exist_ok=True)
        for mount in self.container.get("volumeMounts", ()):
            await self._mount(mount)
        self.env = dict(_IMAGE_ENV)
        for entry in self.container.get("env", ()):
            value = await self._value(entry)
            if value is not None:
                self.env[entry["name"]] = self._here(self._expanded(value))

    def start(self) -> None:
        """Start the command."""
        _, *arguments = [*self.container.get("command", ()), *self.container.get("args", ())]
        program = forked if arguments[0] == "-m" else executed
        self._process = program(arguments, self.log, self.env, self._root)

    @property
    def exit_code(self) -> int | None:
        """The code it ended with; None while it runs."""
        return self._process.poll() if self._process else None

    @property
    def last_line(self) -> str:
        """What it wrote last."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return next((line for line in reversed(lines) if line.strip()), "")

    @property
    def readiness_url(self) -> str | None:
        """Where it is asked whether it is ready; None where the pod does not say."""
        probe = self.container.get("readinessProbe", {}).get("httpGet")
        if probe is None:
            return None
        named = {port.get("name"): port["containerPort"] for port in self.container.get("ports", ())}
        return f"http://{self.address}:{named.get(probe['port'], probe['port'])}{probe['path']}"

    def stop(self, grace_s: float = 20) -> None:
        """Ask it to end, and end it after its grace."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(grace_s)
            except subprocess.TimeoutExpired:
                kill_tree(self._process.pid)

    async def _value(self, entry: Json) -> str | None:
        source = entry.get("valueFrom")
        if source is None:
            return str(entry.get("value", ""))
        ((kind, reference),) = source.items()
        if kind not in _KNOWN:
            raise NotImplementedError(f"this double knows no {kind}")
        if kind == "fieldRef":
            return self._field(reference["fieldPath"])
        data = await self._data("Secret" if kind == "secretKeyRef" else "ConfigMap", reference["name"], reference)
        found = data.get(reference["key"]) if data is not None else None
        if found is None and not reference.get("optional"):
            raise MissingReference(f"couldn't find key {reference['key']} in {reference['name']}")
        return found.decode() if found is not None else None

    def _field(self, path: str) -> str:
        known = {"status.podIP": self.address, "spec.nodeName": "double"}
        if path in known:
            return known[path]
        if match := re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path):
            return str(self.pod["metadata"][match[1]].get(match[2], ""))
        return str(self.pod["metadata"][path.removeprefix("metadata.")])

    async def _data(self, kind: str, name: str, reference: Json) -> dict[str, bytes] | None:
        found = await self._api.get(kind, self.pod["metadata"]["namespace"], name)
        if found is None:
            if reference.get("optional"):
                return None
            raise MissingReference(f'{kind.lower()} "{name}" not found')
        data: dict[str, str] = found.get("data", {})
        return {key: base64.b64decode(value) if kind == "Secret" else value.encode() for key, value in data.items()}

    async def _mount(self, mount: Json) -> None:
        volume = next(volume for volume in self.pod["spec"]["volumes"] if volume["name"] == mount["name"])
        files = await self._files(volume)
        folder = self._root / mount["mountPath"].lstrip("/")
        if part := mount.get("subPath"):
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.write_bytes(files[part])
            return
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)

    async def _files(self, volume: Json) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        for kind, source in _sources(volume):
            if kind == "downwardAPI":
                files |= {item["path"]: self._field(item["fieldRef"]["fieldPath"]).encode() for item in source["items"]}
                continue
            name = source.get("secretName") or source.get("name")
            data = await self._data("Secret" if kind == "secret" else "ConfigMap", name, source) or {}
            chosen = {item["key"]: item["path"] for item in source.get("items", ())} or {key: key for key in data}
            if not source.get("optional") and (absent := set(chosen) - set(data)):
                raise MissingReference(f"{name} has no key {sorted(absent)}")
            files |= {path: data[key] for key, path in chosen.items() if key in data}
        return files

    def _expanded(self, value: str) -> str:
        return re.sub(r"\$\(([A-Za-z_]\w*)\)", lambda match: self.env.get(match[1], match[0]), value)

    def _here(self, value: str) -> str:
        """Give a value of the cluster as it reads on this machine."""
        for mount in self.container.get("volumeMounts", ()):
            if value == mount["mountPath"] or value.startswith(mount["mountPath"] + "/"):
                return f"{self._root}{value}"
        if value == _EVERY_ADDRESS:
            return self.address
        for name, address in self._network.items():
            value = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", address, value)
        return value


def _sources(volume: Json) -> list[tuple[str, Any]]:
    if "projected" in volume:
        return [next(iter(source.items())) for source in volume["projected"]["sources"]]
    return [(kind, volume[kind]) for kind in ("configMap", "secret", "downwardAPI") if kind in volume]
