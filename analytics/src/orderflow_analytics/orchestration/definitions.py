"""What Dagster loads: the graph of the flow whose file ORDERFLOW_FLOW names, in the environment of a run.

dbt parses its project only when a file of it has changed since: each process of Dagster loads this module.
"""

import json
import os
from pathlib import Path
from typing import Any

from orderflow_analytics.configuration import analytics_of, pipeline_of
from orderflow_analytics.marts.build import read_manifest
from orderflow_analytics.marts.inputs import project_digest
from orderflow_analytics.orchestration.graph import graph
from orderflow_analytics.orchestration.home import FLOW, HOME
from orderflow_analytics.orchestration.steps import Steps
from orderflow_analytics.pipeline import Pipeline
from orderflow_model.loading.load import load_flow


def _manifest(pipeline: Pipeline, home: Path) -> dict[str, Any] | None:
    """Return dbt's manifest, as it was kept for the same files."""
    if pipeline.project is None:
        return None
    kept = home / f"manifest-{project_digest(pipeline.project)[:16]}.json"
    if not kept.is_file():
        made = kept.with_suffix(f".{os.getpid()}")
        made.write_text(json.dumps(read_manifest(pipeline.project, pipeline.lake)), encoding="utf-8")
        for old in home.glob("manifest-*.json"):
            old.unlink(missing_ok=True)
        made.replace(kept)
    found: dict[str, Any] = json.loads(kept.read_bytes())
    return found


_FLOW = load_flow(Path(os.environ[FLOW]))
_PIPELINE = pipeline_of(_FLOW, os.environ)
definitions = graph(Steps(_PIPELINE, os.environ), analytics_of(_FLOW), _manifest(_PIPELINE, Path(os.environ[HOME])))
