"""Draws panels as Grafana would, more or less, with matplotlib; `picture.py` gives it a dashboard and the answers."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from PIL import Image

Json = dict[str, Any]
Answers = Mapping[tuple[int, str], Sequence[Json]]

BACK, PANEL, EDGE, TEXT, DIM = "#111217", "#181b1f", "#2c3235", "#d5d6dc", "#8e8f99"
PALETTE = ("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#6fd6c9", "#fade2a", "#c4a2ff")
COLORS = {"green": "#73bf69", "orange": "#ff9830", "red": "#f2495c", "transparent": DIM}
WIDTH, UNIT, DPI = 1500, 25, 100
LONGEST_LEGEND = 9


def draw(board: Json, answers: Answers, out: Path, opened: str = "Service payment") -> None:
    """Draw all rows, of the closed ones only `opened`."""
    plt.rcParams.update({"font.family": "DejaVu Sans", "font.size": 8, "text.color": TEXT, "axes.edgecolor": EDGE})
    times = [float(at) for many in answers.values() for one in many for at, _ in one.get("values", ())]
    shown = [panel | {"span": (min(times), max(times))} for panel in _shown(board, opened)]
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in shown) + 2
    figure = plt.figure(figsize=(WIDTH / DPI, height * UNIT / DPI), dpi=DPI, facecolor=BACK)
    figure.text(0.008, 1 - 1.3 / height, board["title"], size=13, weight="bold")
    for panel in shown:
        place = panel["gridPos"]
        box = (place["x"] / 24, 1 - (place["y"] + 2 + place["h"]) / height, place["w"] / 24, place["h"] / height)
        _panel(figure, panel, answers, box, height)
    figure.savefig(out, facecolor=BACK)
    plt.close(figure)
    Image.open(out).convert("RGB").quantize(96).save(out, optimize=True)


def _shown(board: Json, opened: str) -> Sequence[Json]:
    """Give panels as they stand with one row opened: what is below it moves down."""
    shown: list[Json] = []
    shift = 0
    for panel in board["panels"]:
        shown.append(panel | {"gridPos": panel["gridPos"] | {"y": panel["gridPos"]["y"] + shift}})
        if panel["title"] == opened:
            inside = [one | {"gridPos": one["gridPos"] | {"y": one["gridPos"]["y"] + shift}} for one in panel["panels"]]
            shown += inside
            shift += (
                max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in inside)
                - shown[-len(inside) - 1]["gridPos"]["y"]
                - 1
            )
    return shown


def _panel(
    figure: Figure, panel: Json, answers: Answers, box: tuple[float, float, float, float], height: float
) -> None:
    left, bottom, width, tall = box
    if panel["type"] == "row":
        mark = "▾" if not panel["collapsed"] or panel["title"] == "Service payment" else "▸"
        figure.text(left + 0.008, bottom + tall * 0.3, f"{mark}  {panel['title']}", size=10, weight="bold")
        return
    gap_x, gap_y = 0.003, 0.12 / height
    frame = figure.add_axes((left + gap_x, bottom + gap_y, width - 2 * gap_x, tall - 2 * gap_y), facecolor=PANEL)
    frame.set(xticks=[], yticks=[])
    figure.text(left + 0.009, bottom + tall - 0.85 / height, panel["title"], size=8.5, weight="bold")
    inner = (left + 0.012, bottom + 0.5 / height, width - 0.024, tall - 1.7 / height)
    targets = panel["targets"]
    found = [(target, answers.get((panel["id"], target["refId"]), ())) for target in targets]
    _KINDS[panel["type"]](figure, panel, found, inner)


def _stat(figure: Figure, panel: Json, found: Any, inner: tuple[float, float, float, float]) -> None:
    value = float(found[0][1][0]["value"][1]) if found[0][1] else math.nan
    defaults = panel["fieldConfig"]["defaults"]
    color = COLORS["green"]
    for step in defaults["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            color = COLORS[step["color"]]
    left, bottom, width, tall = inner
    said = _number(value, defaults["unit"])
    figure.text(
        left + width / 2, bottom + tall / 2, said, size=22, color=color, ha="center", va="center", weight="bold"
    )


def _bars(figure: Figure, panel: Json, found: Any, inner: tuple[float, float, float, float]) -> None:
    left, bottom, width, tall = inner
    axes = figure.add_axes((left + width * 0.28, bottom, width * 0.6, tall), facecolor=PANEL)
    values = [float(series[0]["value"][1]) if series else 0.0 for _, series in found]
    places = np.arange(len(values))[::-1]
    axes.barh(places, [max(values)] * len(values), color="#22252b", height=0.7)
    axes.barh(places, values, color=COLORS["green"], height=0.7)
    for place, value, (target, _) in zip(places, values, found, strict=True):
        axes.text(-max(values) * 0.015, place, target["legendFormat"], ha="right", va="center", size=8)
        axes.text(max(values) * 1.015, place, f"{value:,.0f}", va="center", size=9, color=COLORS["green"])
    axes.set(xlim=(0, max(values)))
    axes.axis("off")


def _lines(figure: Figure, panel: Json, found: Any, inner: tuple[float, float, float, float]) -> None:
    left, bottom, width, tall = inner
    axes = figure.add_axes((left + 0.028, bottom + tall * 0.09, width * 0.68 - 0.028, tall * 0.88), facecolor=PANEL)
    defaults = panel["fieldConfig"]["defaults"]
    lines = [(_legend(target, series["metric"]), _points(series)) for target, many in found for series in many]
    lines = [(name, points) for name, points in lines if len(points) and not np.all(np.isnan(points[:, 1]))]
    lines.sort(key=lambda line: -np.nanmax(line[1][:, 1]))
    if not lines:
        figure.text(left + width / 2, bottom + tall / 2, "No data", color=DIM, ha="center")
        axes.axis("off")
        return
    start, end = panel["span"]
    if defaults["custom"].get("stacking"):
        _stack(axes, lines, start)
    for number, (_, points) in enumerate(lines if not defaults["custom"].get("stacking") else ()):
        color = PALETTE[number % len(PALETTE)]
        axes.plot((points[:, 0] - start) / 60, points[:, 1], color=color, linewidth=1.4)
        axes.fill_between((points[:, 0] - start) / 60, points[:, 1], color=color, alpha=0.06)
    _limits(axes, panel, lines)
    _legends(figure, lines, (left + width * 0.71, bottom, width * 0.29, tall), defaults["unit"])
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, (end - start) / 60)
    axes.grid(color=EDGE, linewidth=0.5)
    axes.tick_params(colors=DIM, length=0, labelsize=7)
    axes.yaxis.set_major_formatter(lambda value, _: _number(value, defaults["unit"]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f} min")
    for side in axes.spines.values():
        side.set_visible(False)


def _stack(axes: Axes, lines: Sequence[tuple[str, Any]], start: float) -> None:
    times = sorted({time for _, points in lines for time in points[:, 0]})
    rows = [np.interp(times, points[:, 0], np.nan_to_num(points[:, 1]), left=0, right=0) for _, points in lines]
    colors = [PALETTE[number % len(PALETTE)] for number in range(len(rows))]
    axes.stackplot((np.array(times) - start) / 60, rows, colors=colors, alpha=0.65)


def _limits(axes: Axes, panel: Json, lines: Sequence[tuple[str, Any]]) -> None:
    top = max(float(np.nanmax(points[:, 1])) for _, points in lines)
    for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]:
        if step["value"] and step["value"] <= max(top * 6, 1e-9):
            axes.axhline(step["value"], color=COLORS[step["color"]], linewidth=1, linestyle=(0, (4, 3)))


def _legends(figure: Figure, lines: Any, box: tuple[float, float, float, float], unit: str) -> None:
    left, bottom, width, tall = box
    line, narrow = tall / (LONGEST_LEGEND + 1), width < 0.12
    most = int((width - (0.042 if narrow else 0.065)) * 262)
    said = "last" if narrow else "last       max"
    figure.text(left + width, bottom + tall - line * 0.6, said, size=6.5, color=DIM, ha="right")
    for number, (name, points) in enumerate(lines[:LONGEST_LEGEND]):
        y = bottom + tall - (number + 1.55) * line
        figure.text(left, y, "▬", color=PALETTE[number % len(PALETTE)], size=7)
        figure.text(left + 0.009, y, name if len(name) <= most else f"{name[: most - 1]}…", size=7)
        values = [points[~np.isnan(points[:, 1])][-1, 1], *([] if narrow else [float(np.nanmax(points[:, 1]))])]
        for place, value in enumerate(reversed(values)):
            figure.text(left + width - 0.028 * place, y, _number(value, unit), size=7, ha="right", color=DIM)


def _graph(figure: Figure, panel: Json, found: Any, inner: tuple[float, float, float, float]) -> None:
    """Nodes in columns, by how many steps they are from where most is published; edges as wide as their rate."""
    axes = figure.add_axes(inner, facecolor=PANEL)
    nodes = {one["metric"]["id"]: float(one["value"][1]) for one in found[0][1]}
    edges = [(one["metric"]["source"], one["metric"]["target"], float(one["value"][1])) for one in found[1][1]]
    kinds = {one["metric"]["id"]: one["metric"]["subtitle"] for one in found[0][1]}
    places = _places(nodes, edges)
    most = max((rate for _, _, rate in edges), default=1.0) or 1.0
    for source, target, rate in edges:
        _arrow(axes, places[source], places[target], rate / most)
    for name, rate in nodes.items():
        x, y = places[name]
        service = kinds[name] == "service"
        color = "#5794f2" if service else "#73bf69"
        axes.add_patch(
            FancyBboxPatch(
                (x - 0.42, y - 0.19),
                0.84,
                0.38,
                boxstyle="round,pad=0.02",
                facecolor="#1f232b",
                edgecolor=color,
                zorder=3,
            )
        )
        axes.text(x - 0.4, y, name, va="center", size=8 if service else 6.6, weight="bold", zorder=4)
        axes.text(x + 0.4, y, f"{rate:.1f}/s", ha="right", va="center", size=6.6, color=color, zorder=4)
    xs, ys = zip(*places.values(), strict=True)
    axes.set(xlim=(min(xs) - 0.6, max(xs) + 0.6), ylim=(min(ys) - 0.5, max(ys) + 1.5))
    axes.axis("off")


def _places(nodes: Mapping[str, float], edges: Sequence[tuple[str, str, float]]) -> dict[str, tuple[float, float]]:
    """Give each node a column: the steps to it along the busiest way from where runs begin; the busiest on top."""
    steps = _steps(edges)
    rows: defaultdict[int, list[str]] = defaultdict(list)
    for name in nodes:
        rows[steps.get(name, 0)].append(name)
    return {
        name: (number * 1.35, (len(names) - 1) / 2 - place)
        for number, names in rows.items()
        for place, name in enumerate(sorted(names, key=lambda one: -nodes[one]))
    }


def _steps(edges: Sequence[tuple[str, str, float]]) -> dict[str, int]:
    """Dijkstra's shortest paths, where an edge is the longer the less goes along it; count their steps."""
    most = max(rate for _, _, rate in edges)
    after = defaultdict(list)
    for source, target, rate in edges:
        after[source].append((target, (most / max(rate, most / 1000)) ** 2))
    steps: dict[str, int] = {}
    waiting = [(0.0, 0, "order")]
    while waiting:
        length, count, here = heappop(waiting)
        if here not in steps:
            steps[here] = count
            for there, cost in after[here]:
                heappush(waiting, (length + cost, count + 1, there))
    return steps


def _arrow(axes: Axes, source: tuple[float, float], target: tuple[float, float], share: float) -> None:
    back = target[0] <= source[0]
    style = {
        "connectionstyle": "arc3,rad=0.16" if back else "arc3,rad=0.04",
        "arrowstyle": "-|>,head_length=4,head_width=2",
    }
    axes.add_patch(
        FancyArrowPatch(
            source,
            target,
            shrinkA=30,
            shrinkB=30,
            linewidth=0.6 + 2.2 * share,
            color="#ff9830" if back else "#c7d0d9",
            alpha=0.30 + 0.6 * share,
            zorder=2,
            **style,
        )
    )


_KINDS = {"stat": _stat, "bargauge": _bars, "timeseries": _lines, "nodeGraph": _graph}


def _points(series: Json) -> Any:
    return np.array([(float(at), float(value)) for at, value in series["values"]])


def _legend(target: Json, metric: Mapping[str, str]) -> str:
    said = target["legendFormat"]
    for name, value in metric.items():
        said = said.replace(f"{{{{{name}}}}}", value)
    return said.replace("orderflow.", "")


def _number(value: float, unit: str) -> str:
    if math.isnan(value):
        return "–"
    match unit:
        case "s":
            return f"{value * 1000:.0f} ms" if abs(value) < 1 and value else f"{value:.3g} s"
        case "percentunit":
            return f"{value * 100:.2f} %"
        case "reqps":
            return f"{value:.3g}/s"
        case _:
            return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
