"""`orderflow service new`: what it makes works at once, and what is there stays as it is."""

import difflib
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from orderflow_cli.exit_codes import ExitCode
from orderflow_model.loading.load import load_flow
from support.flow.cli_process import FLOW, invoke


@pytest.fixture
def flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the reference flow in a folder of its own, which is the working folder."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "shop.yaml"
    file.write_text(FLOW.read_text())
    return file


def new(flow: Path, *options: str, name: str = "loyalty", code: int = ExitCode.DONE) -> str:
    """Make a service; give what was said."""
    done = invoke("service", "new", name, "--flow", str(flow), *options)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def made(folder: Path) -> list[str]:
    """All files but the resource."""
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".yaml"
    )


@pytest.mark.parametrize(
    "options",
    [("--on", "ORDER_COMPLETED"), ("--on", "ORDER_COMPLETED", "--on", "OUT_OF_STOCK", "--publishes", "POINTS_GRANTED")],
)
def test_its_test_passes_at_once_and_its_code_is_in_form(flow: Path, options: tuple[str, ...]) -> None:
    """A service that only listens, and one that answers: tested on doubles, and as the linters want it."""
    new(flow, *options)
    here = flow.parent
    python_path = os.pathsep.join(["services/src", *sys.path])
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=here, env={**os.environ, "PYTHONPATH": python_path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, "1 passed" in ran.stdout) == (0, True), ran.stdout
    root = str(FLOW.parents[2] / "pyproject.toml")
    for check in (["check"], ["format", "--check"]):
        judged = subprocess.run(
            [sys.executable, "-m", "ruff", *check, "--config", root, "--no-cache", "services", "tests"],
            cwd=here, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert judged.returncode == 0, judged.stdout


def test_the_resource_gets_lines_and_loses_none(flow: Path) -> None:
    """Comments, order and form of all that was there stay; the flow is sound and has the service and its event."""
    before = flow.read_text().splitlines()
    new(flow, "--on", "ORDER_COMPLETED", "--publishes", "POINTS_GRANTED")
    changed = [line for line in difflib.ndiff(before, flow.read_text().splitlines()) if line[0] in "+-"]
    assert changed == [
        "+     - name: POINTS_GRANTED",
        "+     - name: loyalty",
        "+       image: orderflow/services:dev",
        "+       command: [python, -m, shop_loyalty]",
        "+       subscribes: [ORDER_COMPLETED]",
        "+       publishes: [POINTS_GRANTED]",
    ]
    service = load_flow(flow).service("loyalty")
    assert (service.subscribes, service.publishes) == (("ORDER_COMPLETED",), ("POINTS_GRANTED",))


@pytest.mark.parametrize(
    "style", [{"default_flow_style": True}, {"default_flow_style": False, "indent": 4}, {"default_flow_style": False}]
)
def test_a_resource_in_another_style_is_kept_or_left_alone(flow: Path, style: dict[str, object]) -> None:
    """Where lists are in brackets nothing is written into the file, and what to add is printed."""
    flow.write_text(before := yaml.safe_dump(yaml.safe_load(FLOW.read_text()), **style))
    said = new(flow, "--on", "ORDER_COMPLETED")
    if style["default_flow_style"]:
        assert flow.read_text() == before
        assert "- name: loyalty" in said
    else:
        assert load_flow(flow).service("loyalty").subscribes == ("ORDER_COMPLETED",)
    assert "services/src/shop_loyalty/__main__.py" in made(flow.parent)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("loyalty", ("--on", "NO_SUCH_EVENT"), "NO_SUCH_EVENT"),
        ("payment", ("--on", "ORDER_COMPLETED"), "payment"),
        ("Loyalty!", ("--on", "ORDER_COMPLETED"), "Loyalty!"),
        ("loyalty", ("--on", "ORDER_COMPLETED", "--publishes", "x y"), "x y"),
        ("../loyalty", ("--on", "ORDER_COMPLETED"), "loyalty"),
    ],
)
def test_what_would_be_no_sound_flow_is_refused_and_nothing_made(
    flow: Path, name: str, options: tuple[str, ...], says: str
) -> None:
    """An unknown event, a name that is taken or none: the reason, and no file."""
    before = flow.read_text()
    assert says in new(flow, *options, name=name, code=ExitCode.REFUSED)
    assert (flow.read_text(), made(flow.parent)) == (before, [])


@pytest.mark.parametrize("said", ["ORDER_COMPLETED", "EVENT", "NONE", "RAW_EVENT", "SETTINGS"])
def test_events_whose_classes_would_clash_are_refused(flow: Path, said: str) -> None:
    """An event heard and said at once, or called as what the code imports, would make code that does not run."""
    refused = new(flow, "--on", "ORDER_COMPLETED", "--publishes", said, code=ExitCode.REFUSED)
    assert f"{said} cannot have a class" in refused
    assert made(flow.parent) == []


def test_line_ends_stay_as_they_are(flow: Path) -> None:
    """A file of Windows keeps its line ends, and its new lines have them too."""
    flow.write_bytes(before := flow.read_bytes().replace(b"\n", b"\r\n"))
    new(flow, "--on", "ORDER_COMPLETED")
    after = flow.read_bytes()
    assert after.count(b"\r\n") == after.count(b"\n") == before.count(b"\n") + 4


def test_nothing_that_is_there_is_overwritten(flow: Path) -> None:
    """A second time, and a folder that somebody else has made, are refused by the name of the file."""
    there = flow.parent / "services" / "src" / "shop_loyalty" / "events.py"
    there.parent.mkdir(parents=True)
    there.write_text("mine\n")
    before = flow.read_text()
    assert "events.py is there already" in new(flow, "--on", "ORDER_COMPLETED", code=ExitCode.REFUSED)
    assert (flow.read_text(), made(flow.parent)) == (before, ["services/src/shop_loyalty/events.py"])
    assert there.read_text() == "mine\n"
    assert invoke("service", "new", "loyalty", "--flow", str(flow)).returncode == ExitCode.USAGE


def test_a_full_disk_takes_nothing_of_the_resource(flow: Path) -> None:
    """Where its new text cannot be written whole, the file stays as it was, and nothing else is left."""
    before = flow.read_bytes()
    limit = 4_096
    assert len(before) > limit
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, kept[1]))
    try:
        said = new(flow, "--on", "ORDER_COMPLETED", code=ExitCode.REFUSED)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)
    assert "nothing was made" in said
    assert flow.read_bytes() == before
    assert made(flow.parent) == []
    assert [path.name for path in flow.parent.glob("*.yaml*")] == [flow.name]
