"""A release: one version everywhere, and what is pushed, signed and told. The programs that push are recorded here."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from support.tools.workflows import ROOT

DIGEST = "sha256:" + "ab" * 32
RECORDER = """\
    #!{python}
    import json, pathlib, sys
    name, words = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
    with open({log!r}, "a") as log:
        print(json.dumps([name, *words]), file=log)
    if "--metadata-file" in words:
        pathlib.Path(words[words.index("--metadata-file") + 1]).write_text('{{"containerimage.digest": "{digest}"}}')
    if words[0] == "push":
        print("Pushed: what it was\\nDigest: {digest}")
    sys.exit(name in {failing!r})
"""


class Tree:
    """A copy of what a release reads, which a test may change; `run` calls the release there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tree"
        self.log = folder / "commands"
        self.programs = folder / "bin"
        for name in ("charts", "manifests", "tools"):
            shutil.copytree(ROOT / name, self.folder / name)
        for name in ("pyproject.toml", "CHANGELOG.md", "Makefile"):
            shutil.copy(ROOT / name, self.folder)
        subprocess.run(["git", "init", "-q", str(self.folder)], check=True)
        who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        subprocess.run(["git", *who, "commit", "-q", "--allow-empty", "-m", "x"], cwd=self.folder, check=True)

    def change(self, name: str, old: str, new: str) -> None:
        """Put a text in place of another in one file."""
        path = self.folder / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def record(self, *failing: str) -> None:
        """Put recorders in the place of the programs that reach out; those named fail."""
        self.programs.mkdir()
        for name in ("docker", "helm", "cosign", "gh"):
            text = RECORDER.format(python=sys.executable, log=str(self.log), digest=DIGEST, failing=failing)
            (self.programs / name).write_text(textwrap.dedent(text))
            (self.programs / name).chmod(0o755)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Call tools/release.py."""
        return self._call(sys.executable, "tools/release.py", *arguments)

    def make(self, target: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Call a target of the Makefile with these variables, as a workflow gives them."""
        return self._call("make", target, **variables)

    def _call(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "GITHUB_OUTPUT": str(self.folder / "output"), **variables}
        return subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)

    def commands(self) -> list[list[str]]:
        """Give what the recorders were called with."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """The tree at version 1.2.3, with notes of it."""
    tree = Tree(tmp_path)
    for path in [tree.folder / "pyproject.toml", *tree.folder.glob("charts/*/Chart.yaml")]:
        named = re.compile(r"^(version = |version: |appVersion: )\S+$", re.MULTILINE)
        path.write_text(named.sub(r'\1"1.2.3"', path.read_text()))
    sections = ["[Unreleased]\n\n- later\n", "[1.2.3] - 2026-01-02\n\n- this one\n", "[1.2.2] - 2025-12-31\n\n- old\n"]
    (tree.folder / "CHANGELOG.md").write_text("\n".join(["# Changelog\n", *(f"## {section}" for section in sections)]))
    return tree


def test_this_tree_names_one_version() -> None:
    """The package and both charts of this very tree have the same version."""
    done = subprocess.run(
        [sys.executable, "tools/release.py", "check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_version_of_its_own_is_refused_and_named(tree: Tree) -> None:
    """A chart that was forgotten stops the release, and the message names it."""
    tree.change("charts/orderflow-platform/Chart.yaml", 'appVersion: "1.2.3"', 'appVersion: "1.2.2"')
    done = tree.run("check", "v1.2.3")
    assert done.returncode == 1
    assert "1.2.2 in charts/orderflow-platform/Chart.yaml appVersion" in done.stderr


def test_a_tag_of_another_version_is_refused(tree: Tree) -> None:
    """A tag that is not the tree's version is told which one would be right."""
    assert tree.run("check", "v1.2.3").returncode == 0
    done = tree.run("check", "v1.2.4")
    assert (done.returncode, "tag v1.2.3" in done.stderr) == (1, True)


def test_a_version_that_nobody_described_is_refused(tree: Tree) -> None:
    """Without a section of the changelog there is no release, however the versions agree."""
    tree.change("CHANGELOG.md", "## [1.2.3] - 2026-01-02", "## [1.2.30] - 2026-01-02")
    done = tree.run("check", "v1.2.3")
    assert (done.returncode, "CHANGELOG.md" in done.stderr) == (1, True)


def test_what_is_published_is_named_by_its_digest(tree: Tree) -> None:
    """Images of both architectures and the charts go to the registry, and later jobs are told their digests."""
    tree.record()
    done = tree.run("publish", "v1.2.3", "reg.example/Some-Owner")
    assert done.returncode == 0, done.stderr
    builds = [words for words in tree.commands() if words[0] == "docker"]
    assert [words[words.index("--tag") + 1] for words in builds] == [
        "reg.example/some-owner/orderflow/operator:1.2.3",
        "reg.example/some-owner/orderflow/services:1.2.3",
    ]
    assert all("linux/amd64,linux/arm64" in words and "--push" in words for words in builds)
    told = (tree.folder / "output").read_text()
    assert told.startswith("artifacts=")
    assert {
        (found["kind"], found["name"], found["digest"]) for found in json.loads(told.removeprefix("artifacts="))
    } == {
        ("image", "reg.example/some-owner/orderflow/operator", DIGEST),
        ("image", "reg.example/some-owner/orderflow/services", DIGEST),
        ("chart", "reg.example/some-owner/orderflow/charts/orderflow-operator", DIGEST),
        ("chart", "reg.example/some-owner/orderflow/charts/orderflow-platform", DIGEST),
    }


def test_a_released_chart_and_flow_name_the_released_images(tree: Tree) -> None:
    """Whoever installs the chart or applies the flow gets the images that were pushed with it, and no others change."""
    tree.record()
    assert tree.run("publish", "v1.2.3", "reg.example/o").returncode == 0
    made = tree.folder / "artifacts/release"
    assert (
        "repository: reg.example/o/orderflow/operator\n" in (made / "charts/orderflow-operator/values.yaml").read_text()
    )
    platform = (made / "charts/orderflow-platform/values.yaml").read_text()
    assert "image: reg.example/o/orderflow/services:1.2.3\n" in platform
    assert "image: postgres:17\n" in platform
    flow = (made / "shop.yaml").read_text()
    assert "reg.example/o/orderflow/services:1.2.3" in flow
    assert "orderflow/services:dev" not in flow
    packaged = [words[2] for words in tree.commands() if words[:2] == ["helm", "package"]]
    assert packaged == ["artifacts/release/charts/orderflow-operator", "artifacts/release/charts/orderflow-platform"]


def test_a_release_says_what_it_is_and_where_it_goes(tree: Tree) -> None:
    """Without a tag or a registry nothing is built."""
    tree.record()
    for arguments in (["", "reg.example/o"], ["v1.2.3", ""]):
        assert tree.run("publish", *arguments).returncode == 1
    assert not tree.log.exists()


def test_nothing_is_told_of_a_release_that_failed(tree: Tree) -> None:
    """A push that fails ends the release; no later job gets anything to sign."""
    tree.record("helm")
    done = tree.run("publish", "v1.2.3", "reg.example/o")
    assert (done.returncode, "helm ended with 1" in done.stderr) == (1, True)
    assert not (tree.folder / "output").exists()


def test_a_tag_is_not_signed(tree: Tree) -> None:
    """Only digests are signed, for a tag may name something else by the time somebody verifies it."""
    tree.record()
    digests = f"reg.example/o/orderflow/operator@{DIGEST} reg.example/o/orderflow/services@{DIGEST}"
    assert tree.make("release-sign", ARTIFACTS="reg.example/o/orderflow/operator:1.2.3").returncode != 0
    assert tree.make("release-sign", ARTIFACTS=digests).returncode == 0
    assert tree.commands() == [["cosign", "sign", "--yes", artifact] for artifact in digests.split()]


def test_a_signature_that_fails_is_not_passed_over(tree: Tree) -> None:
    """The first artifact that cannot be signed ends the job, though the ones after it could be."""
    tree.record("cosign")
    assert tree.make("release-sign", ARTIFACTS=f"a@{DIGEST} b@{DIGEST}").returncode != 0
    assert len(tree.commands()) == 1


def test_the_page_tells_of_this_version_alone(tree: Tree) -> None:
    """The release's page has the changelog's section of its version, and the files to install it from."""
    tree.record()
    assert tree.run("publish", "v1.2.3", "reg.example/o").returncode == 0
    assert tree.make("release-page", TAG="v1.2.3").returncode == 0
    assert (tree.folder / "artifacts/release/notes.md").read_text() == "- this one\n"
    words = tree.commands()[-1]
    assert words[:4] == ["gh", "release", "create", "v1.2.3"]
    assert {"artifacts/release/shop.yaml", "artifacts/release/artifacts.json"} <= set(words)
