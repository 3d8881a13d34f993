"""Dagster's page of the graph: its webserver and daemon on loopback, with their state in one folder, telling nobody.

This process becomes Dagster's, so that whoever ends it, by Ctrl-C or SIGTERM, ends all of it.
"""

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from orderflow_analytics.configuration import pipeline_of, project_of
from orderflow_analytics.errors import AnalyticsError
from orderflow_model.flow import OrderFlow
from orderflow_runtime.settings import required

FLOW, HOME = "ORDERFLOW_FLOW", "DAGSTER_HOME"
_HOST = "127.0.0.1"
_SETTINGS = """\
telemetry: {enabled: false}
nux: {enabled: false}
freshness: {enabled: true}
concurrency: {runs: {max_concurrent_runs: 1}} # one run works at a lake at a time
"""
_DEFINITIONS = "orderflow_analytics.orchestration.definitions"


def show(flow: OrderFlow, file: Path, env: Mapping[str, str]) -> None:
    """Become Dagster's server of a flow's graph; raise `AnalyticsError` where something is missing."""
    pipeline_of(flow, env)
    project = project_of(flow)
    if project is not None and not (project / "dbt_project.yml").is_file():
        raise AnalyticsError(f"spec.analytics.models: {project} has no dbt_project.yml")
    home = Path(required(env, HOME)).absolute()
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_text(_SETTINGS, encoding="utf-8")
    port = _free_port()
    print(f"The graph of {flow.metadata.name}: http://{_HOST}:{port}  (Ctrl-C ends it)", flush=True)
    told = {HOME: str(home), FLOW: str(file.absolute()), "PYTHONWARNINGS": "ignore"}  # Dagster warns of its own parts
    command = [sys.executable, "-m", "dagster", "dev", "-m", _DEFINITIONS, "-a", "definitions"]
    command += ["-h", _HOST, "-p", str(port), "--log-level", "warning"]
    os.execve(sys.executable, command, {**env, **told})  # noqa: S606 - Dagster of this environment


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((_HOST, 0))
        port: int = free.getsockname()[1]
    return port
