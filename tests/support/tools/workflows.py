"""The GitHub workflows as tests read them: jobs, their matrices unrolled, and the commands of their steps."""

import itertools
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import yaml

from support.tools.go_tools import go_program

ROOT = Path(__file__).parents[3]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))
ACTIONS = sorted((ROOT / ".github/actions").glob("*/action.yaml"))
_MATRIX = re.compile(r"\$\{\{ matrix\.(\w+) \}\}")

Yaml = dict[str, Any]


def actionlint() -> Path:
    """Return the command; it is compiled when it is not cached."""
    return go_program("actionlint", "github.com/rhysd/actionlint/cmd/actionlint")


@dataclass(frozen=True)
class Job:
    """One job of a workflow; `where` is what a finding calls it."""

    where: str
    workflow: Yaml
    body: Yaml

    def commands(self) -> Iterator[list[str]]:
        """Give the words of every command line that its steps run, once for each entry of the matrix."""
        env = self.workflow.get("env", {}) | self.body.get("env", {})
        for row in rows(self.body.get("strategy", {}).get("matrix", {})):
            for step in self.body.get("steps", []):
                for line in step.get("run", "").splitlines():
                    yield _words(line, row, env | step.get("env", {}))


def jobs() -> list[Job]:
    """Give every job of every workflow."""
    found = []
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text())
        found += [Job(f"{path.name}: {name}", workflow, body) for name, body in workflow["jobs"].items()]
    return found


def rows(matrix: Yaml) -> list[Yaml]:
    """Unroll a matrix as GitHub does: an entry of `include` completes the rows it does not contradict, or is a new one.

    An axis that GitHub computes while it runs (an expression) is one value here.
    """
    axes = {name: [v] if isinstance(v, str) else v for name, v in matrix.items() if name != "include"}
    product = [dict(zip(axes, row, strict=True)) for row in itertools.product(*axes.values())] if axes else []
    added = []
    for entry in matrix.get("include", []):
        fitting = [row for row in product if all(row[name] == entry.get(name, row[name]) for name in axes)]
        for row in fitting:
            row |= entry
        added += [] if fitting else [dict(entry)]
    return [*product, *added] or [{}]


def _words(line: str, row: Mapping[str, Any], env: Yaml) -> list[str]:
    """Split a command into words after the matrix, then the step's variables, are put in."""

    def filled(text: object) -> str:
        return _MATRIX.sub(lambda found: str(row[found[1]]), str(text))

    return shlex.split(Template(filled(line)).safe_substitute({name: filled(value) for name, value in env.items()}))
