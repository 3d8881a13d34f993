"""Draws the dashboard of the flow that `orderflow run` runs here: its own queries, answered by a real Prometheus.

`make picture` calls it while a flow runs (`make demo`), and docs/dashboard.png is what it drew of such a run. It is not
Grafana that draws (docs/decisions/0028): what a panel looks like is `drawing.py`'s, what it shows is not.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # for `support`, as pytest has it

from drawing import draw

from orderflow_cli.local.state import DEFAULT_BASE
from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import load_flow
from orderflow_operator.monitoring.dashboard import dashboard
from orderflow_operator.monitoring.settings import Monitoring
from orderflow_operator.resources import podmonitor, prometheusrule
from support.records.prometheus import Prometheus, Target
from support.tools.scratch import scratch_directory

NAMESPACE = "team-a"
"""A laptop has none; rules and panels speak of one."""
EVERY = 5
"""Seconds between two scrapes, and between two points of a line."""
RATE_INTERVAL = f"{6 * EVERY}s"

Json = dict[str, Any]


def main() -> None:
    """Look at the flow for some minutes and draw what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("flow", type=Path, nargs="?", default=Path("manifests/flows/shop.yaml"))
    parser.add_argument("--state", type=Path, default=DEFAULT_BASE, help="as given to orderflow run")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--out", type=Path, default=Path("docs/dashboard.png"))
    given = parser.parse_args()
    flow = load_flow(given.flow)
    flow = flow.model_copy(update={"metadata": flow.metadata.model_copy(update={"namespace": NAMESPACE})})
    board = json.loads(dashboard.text(flow))
    with scratch_directory() as folder:
        prometheus, began = Prometheus(folder / "prometheus"), time.time()
        monitoring, ports = (
            Monitoring(),
            json.loads((given.state / flow.metadata.name / "state.json").read_text())["ports"],
        )
        rules = prometheusrule.build(flow, monitoring)
        prometheus.start(podmonitor.build(flow, monitoring), rules, _targets(flow, ports), f"{EVERY}s")
        try:
            time.sleep(given.minutes * 60)
            draw(board, dict(_answers(board, prometheus, began + 2 * EVERY, time.time())), given.out)
        finally:
            prometheus.stop()
    print(f"{given.out}: {given.out.stat().st_size / 1024:.0f} kB")


def _targets(flow: OrderFlow, ports: dict[str, int]) -> Iterator[Target]:
    for service in flow.spec.services:
        yield Target(ports[service.name], flow.metadata.name, NAMESPACE, service.name, f"{service.name}-0")


def _answers(board: Json, prometheus: Prometheus, start: float, end: float) -> Iterator[tuple[tuple[int, str], Any]]:
    """Give, by panel and query, what Prometheus answers."""
    for panel in board["panels"]:
        for one in (panel, *panel.get("panels", ())):
            for target in one.get("targets", ()):
                expr = target["expr"].replace("$__rate_interval", RATE_INTERVAL)
                expr = expr.replace("$__range", f"{end - start:.0f}s")
                asked = prometheus.query(expr, end) if target["instant"] else prometheus.course(expr, start, end, EVERY)
                yield (one["id"], target["refId"]), asked


if __name__ == "__main__":
    main()
