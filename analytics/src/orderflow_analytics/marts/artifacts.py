"""What dbt leaves of a run beside its file: the models as it compiled them, and what became of each model and test.

Source: dbt's artifacts, manifest.json (version 12) and run_results.json (version 6).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_HELD = ("success", "pass", "warn")


@dataclass(frozen=True)
class Model:
    """A model: its name, where it is in dbt's database, nothing where it has no place there, and its SQL for it."""

    name: str
    relation: str
    sql: str


@dataclass(frozen=True)
class Outcome:
    """What became of a model or a test, by dbt's own id of it."""

    node: str
    status: str
    words: str
    failures: int

    @property
    def held(self) -> bool:
        """Return whether it was built, or holds; a warning does not hinder."""
        return self.status in _HELD


@dataclass(frozen=True)
class Artifacts:
    """What one run of dbt left. `sources` are the tables that models read, by where they are in dbt's database."""

    models: tuple[Model, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    outcomes: tuple[Outcome, ...] = ()


def read_artifacts(target: Path) -> Artifacts:
    """Return what stands in dbt's folder; nothing of what it did not come to write."""
    manifest, results = _read(target / "manifest.json"), _read(target / "run_results.json")
    models = [node for node in manifest.get("nodes", {}).values() if node["resource_type"] == "model"]
    return Artifacts(
        tuple(Model(one["name"], one["relation_name"] or "", one.get("compiled_code") or "") for one in models),
        {one["relation_name"]: one["name"] for one in manifest.get("sources", {}).values()},
        tuple(map(_outcome, results.get("results", ()))),
    )


def _read(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        return {}
    found: Mapping[str, Any] = json.loads(file.read_bytes())
    return found


def _outcome(told: Mapping[str, Any]) -> Outcome:
    return Outcome(told["unique_id"], told["status"], told.get("message") or "", told.get("failures") or 0)
