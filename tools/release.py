"""Publishes a version; `make release-check` and `make release` call it, on GitHub from release.yaml.

    release.py check [TAG]             the tree names one version; with a tag, it is that one and has notes
    release.py publish TAG REGISTRY    build and push images and charts; artifacts/release says which, and has the notes

A registry is a host and a path, `host/owner`. Images become REGISTRY/orderflow/NAME, charts REGISTRY/orderflow/charts/
NAME. Where GITHUB_OUTPUT names a file, what was published is written there too, for the jobs that sign it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

IMAGES = ("operator", "services")
PLATFORMS = "linux/amd64,linux/arm64"
OUTPUT = Path("artifacts/release")


class ReleaseError(Exception):
    """Why a version cannot be published, and what to change."""


@dataclass(frozen=True)
class Artifact:
    """What a registry holds: its kind (image or chart), its name without a tag, and its digest (sha256:…)."""

    kind: str
    name: str
    digest: str


def check(tag: str = "") -> None:
    """Raise `ReleaseError` unless the tree names one version, which is the tag's (v1.2.3) and has notes."""
    found = versions()
    if len(set(found.values())) > 1:
        raise ReleaseError("the tree names several versions: " + ", ".join(f"{v} in {k}" for k, v in found.items()))
    version = next(iter(found.values()))
    if tag and tag != f"v{version}":
        raise ReleaseError(f"the tag is {tag}, the tree's version {version}: tag v{version}, or change the tree first")
    if tag:
        notes(version)
    print(f"version {version}" + (f", to be released as {tag}" if tag else ""))


def versions() -> dict[str, str]:
    """Return the version by each place that names it."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = {"pyproject.toml": str(project["version"])}
    for chart in _charts():
        told = yaml.safe_load((chart / "Chart.yaml").read_text(encoding="utf-8"))
        found |= {f"{chart}/Chart.yaml {name}": str(told[name]) for name in ("version", "appVersion")}
    return found


def notes(version: str) -> str:
    """Return the changelog's section of a version, without its heading."""
    changelog = Path("CHANGELOG.md").read_text(encoding="utf-8")
    section = re.search(rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if section is None or not section[1].strip():
        wanted = f"give [Unreleased] the heading ## [{version}] - DATE"
        raise ReleaseError(f"CHANGELOG.md tells nothing of {version}: {wanted}")
    return section[1].strip() + "\n"


def publish(tag: str, registry: str) -> None:
    """Push images and charts of the tag's version, and write what was pushed; the charts name the images' registry."""
    if not (tag and registry):
        raise ReleaseError("say what and where: make release TAG=v1.2.3 REGISTRY=host/owner")
    check(tag)
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    version, registry = tag.removeprefix("v"), registry.lower()  # a repository's name has no capitals
    published = [_push_image(name, version, registry) for name in IMAGES]
    published += [_push_chart(chart, version, registry) for chart in _charts()]
    (OUTPUT / "notes.md").write_text(notes(version), encoding="utf-8")
    for flow in sorted(Path("manifests/flows").glob("*.yaml")):
        _stamp(flow, OUTPUT / flow.name, version, registry)
    _tell(json.dumps([asdict(artifact) for artifact in published]))


def _charts() -> list[Path]:
    return sorted(path.parent for path in Path("charts").glob("*/Chart.yaml"))


def _push_image(name: str, version: str, registry: str) -> Artifact:
    target, metadata = f"{registry}/orderflow/{name}", OUTPUT / f"{name}.metadata"
    revision = _run("git", "rev-parse", "HEAD").strip()
    _run(
        *("docker", "buildx", "build", "--push", "--platform", os.environ.get("PLATFORMS", PLATFORMS)),
        *("--file", f"{name}/Dockerfile", "--tag", f"{target}:{version}", "--metadata-file", str(metadata)),
        *("--build-arg", f"VERSION={version}", "--build-arg", f"REVISION={revision}"),
        *("--provenance=false", "."),  # a signed statement of it is made by actions/attest
    )
    return Artifact("image", target, str(json.loads(metadata.read_text(encoding="utf-8"))["containerimage.digest"]))


def _push_chart(chart: Path, version: str, registry: str) -> Artifact:
    stamped = OUTPUT / "charts" / chart.name
    shutil.copytree(chart, stamped)
    _stamp(chart / "values.yaml", stamped / "values.yaml", version, registry)
    _run("helm", "package", str(stamped), "--version", version, "--app-version", version, "--destination", str(OUTPUT))
    target = f"{registry}/orderflow/charts"
    told = _run("helm", "push", str(OUTPUT / f"{chart.name}-{version}.tgz"), f"oci://{target}")
    digest = re.search(r"^Digest: (sha256:[0-9a-f]{64})$", told, re.MULTILINE)
    if digest is None:
        raise ReleaseError(f"helm push {chart.name} told no digest: {told}")
    return Artifact("chart", f"{target}/{chart.name}", digest[1])


def _stamp(source: Path, target: Path, version: str, registry: str) -> None:
    """Copy a file, our images by the registry and version; the tree has them as orderflow/NAME[:TAG]."""
    stamped = re.sub(
        rf"(?<=\s)orderflow/({'|'.join(IMAGES)})(:[\w.-]+)?(?=[\s,}}\]])",
        lambda found: f"{registry}/orderflow/{found[1]}" + (f":{version}" if found[2] else ""),
        source.read_text(encoding="utf-8"),
    )
    target.write_text(stamped, encoding="utf-8")


def _tell(artifacts: str) -> None:
    (OUTPUT / "artifacts.json").write_text(artifacts + "\n", encoding="utf-8")
    if output := os.environ.get("GITHUB_OUTPUT"):
        with Path(output).open("a", encoding="utf-8") as file:
            file.write(f"artifacts={artifacts}\n")


def _run(*command: str) -> str:
    """Run a program and give what it says, which is shown too."""
    print("+", *command, file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout, end="", file=sys.stderr, flush=True)
    if done.returncode:
        raise ReleaseError(f"{command[0]} ended with {done.returncode}; what it said is above")
    return done.stdout


_COMMANDS: dict[str, Callable[..., None]] = {"check": check, "publish": publish}


def main(command: str, *arguments: str) -> int:
    """Run one command; give the exit code."""
    try:
        _COMMANDS[command](*arguments)
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
