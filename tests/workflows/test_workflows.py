"""What every workflow has to be: read by actionlint and zizmor, pinned, without rights it does not need, and plain."""

import os
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from support.tools.workflows import ACTIONS, ROOT, WORKFLOWS, Job, actionlint, jobs

USES = re.compile(r"^\s*(?:- )?uses: (?P<action>\S+)(?P<comment>.*)$", re.MULTILINE)
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
BIN = Path(sys.executable).parent


def names(job: Job) -> str:
    """What pytest calls a job."""
    return job.where.replace(" ", "")


def go_version(module: Path) -> tuple[int, ...]:
    """Give the Go that a go.mod asks for."""
    (found,) = re.findall(r"^go ([\d.]+)$", module.read_text(), re.MULTILINE)
    return tuple(int(part) for part in found.split("."))


def passes(*command: str | Path) -> None:
    """Run a linter from the root of the tree; fail with what it says. It finds shellcheck where the others are."""
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_finds_nothing() -> None:
    """Expressions, events, matrices and shell of every workflow are as GitHub reads them."""
    passes(actionlint(), "-color=false")


def test_zizmor_finds_nothing() -> None:
    """No workflow, action or dependabot rule gives an attacker a way in, by zizmor's strictest reading."""
    passes(BIN / "zizmor", "--offline", "--pedantic", "--strict-collection", "--quiet", ".github")


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_actions_of_others_are_pinned_by_commit(path: Path) -> None:
    """What others wrote is named by its commit, with the version that the commit is beside it."""
    found = [match for match in USES.finditer(path.read_text()) if not match["action"].startswith("./")]
    wrong = [match[0] for match in found if not PINNED.fullmatch(match["action"])]
    wrong += [match[0] for match in found if not re.fullmatch(r" # v\d+\.\d+\.\d+", match["comment"])]
    assert not wrong


def test_an_action_has_one_version() -> None:
    """The same action is the same commit everywhere, so that an update cannot miss a place."""
    used = {match["action"] for path in [*WORKFLOWS, *ACTIONS] for match in USES.finditer(path.read_text())}
    assert len(used) == len({action.partition("@")[0] for action in used})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_no_rights_of_its_own(path: Path) -> None:
    """Rights are given to the job that needs them, never to the whole workflow."""
    assert "\npermissions: {}\n" in path.read_text()


def test_updates_are_looked_for_where_versions_stand() -> None:
    """Dependabot is told of each folder that has a Go module, a Maven project or one of our Dockerfiles."""
    told = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
    patterns = {
        (update["package-ecosystem"], folder)
        for update in told
        for folder in update.get("directories", [update.get("directory")])
    }
    stand = {"gomod": "tests/tools/*/go.mod", "maven": "tests/tools/*/pom.xml", "docker": "*/Dockerfile"}
    for ecosystem, files in stand.items():
        for path in ROOT.glob(files):
            folder = f"/{path.parent.relative_to(ROOT).as_posix()}"
            assert any(fnmatch(folder, pattern) for kind, pattern in patterns if kind == ecosystem), (ecosystem, folder)


def test_go_is_new_enough_for_every_module() -> None:
    """The Go that jobs get can compile all that tests/tools pins; setup-go forbids it to fetch a newer one."""
    action = yaml.safe_load((ROOT / ".github/actions/environment/action.yaml").read_text())
    (chosen,) = [found for step in action["runs"]["steps"] if (found := step.get("with", {}).get("go-version"))]
    wanted = {path.parent.name: go_version(path) for path in (ROOT / "tests/tools").glob("*/go.mod")}
    assert tuple(int(part) for part in chosen.split(".")) >= max(wanted.values())[:2], wanted


@pytest.mark.parametrize("job", jobs(), ids=names)
def test_a_job_ends(job: Job) -> None:
    """A job that hangs is stopped long before GitHub's six hours; one that calls a workflow has that one's limits."""
    assert "timeout-minutes" in job.body or "uses" in job.body


@pytest.mark.parametrize("job", jobs(), ids=names)
def test_a_checkout_leaves_no_token_behind(job: Job) -> None:
    """What a job runs cannot push with the token that fetched the code."""
    checkouts = [step for step in job.body.get("steps", []) if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step.get("with", {}).get("persist-credentials") is False for step in checkouts)


@pytest.mark.parametrize("job", jobs(), ids=names)
def test_a_step_runs_a_command_of_the_makefile(job: Job) -> None:
    """What a job does can be done on a laptop by the same command: `make` knows the target, and nothing else is run."""
    for words in job.commands():
        assert words[0] == "make", f"{job.where} runs {words}"
        done = subprocess.run([*words, "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{job.where} runs {words}: {done.stderr}"


def test_the_long_tests_are_done_whole_every_night() -> None:
    """What each change does a tenth of is done whole by a job of its own."""
    nightly = [words for job in jobs() if job.where.startswith("nightly.yaml") for words in job.commands()]
    assert ["make", "test-chaos"] in nightly
