"""Grafana's panels as plain data, and where they stand on the grid of 24 columns. `dashboard.py` puts them together.

The shapes are those of Grafana's dashboard schema, version 42; only what differs from its defaults is said.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Panel = dict[str, Any]

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
SCHEMA_VERSION = 42
GREEN, ORANGE, RED = "green", "orange", "red"

_COLUMNS = 24


@dataclass(frozen=True)
class Query:
    """A query and the name of what it gives; an `instant` one gives a value, not a course."""

    expr: str
    legend: str = ""
    instant: bool = False


@dataclass(frozen=True)
class Row:
    """Panels under one heading, left to right and then below; a collapsed row is opened by a click."""

    title: str
    panels: Sequence[Panel]
    collapsed: bool = False


def timeseries(
    title: str,
    queries: Sequence[Query],
    unit: str = "short",
    *,
    width: int = 12,
    limits: Mapping[str, float] | None = None,
    stacked: bool = False,
) -> Panel:
    """Return lines over time; `limits` are drawn as lines, by colour."""
    custom: dict[str, Any] = {"lineWidth": 2, "fillOpacity": 10, "showPoints": "never"}
    if limits:
        custom["thresholdsStyle"] = {"mode": "dashed"}
    if stacked:
        custom |= {"stacking": {"mode": "normal"}, "fillOpacity": 60, "lineWidth": 1}
    panel = _panel("timeseries", title, queries, width, 8)
    panel["fieldConfig"] = _fields(unit, custom=custom, thresholds=_steps(limits or {}, None))
    panel["options"] = {
        "legend": {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull", "max"], "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel


def stat(title: str, expr: str, unit: str = "short", *, limits: Mapping[str, float] | None = None) -> Panel:
    """Return one number, coloured by the limits it has passed."""
    panel = _panel("stat", title, [Query(expr, instant=True)], 4, 4)
    panel["fieldConfig"] = _fields(unit, thresholds=_steps(limits or {}, GREEN))
    panel["options"] = {"colorMode": "value", "graphMode": "none", "reduceOptions": {"calcs": ["lastNotNull"]}}
    return panel


def bars(title: str, queries: Sequence[Query], *, width: int = 12) -> Panel:
    """Return one bar a query, in their order."""
    panel = _panel("bargauge", title, queries, width, 8)
    panel["fieldConfig"] = _fields("short", thresholds=_steps({}, GREEN))
    panel["fieldConfig"]["defaults"] |= {"decimals": 0, "min": 0}
    panel["options"] = {
        "orientation": "horizontal",
        "displayMode": "basic",
        "reduceOptions": {"calcs": ["lastNotNull"]},
    }
    return panel


def graph(title: str, nodes: str, edges: str) -> Panel:
    """Return a node graph: the queries' labels are its columns (id, title, source, target), their values the rates."""
    panel = _panel("nodeGraph", title, [], _COLUMNS, 14)
    panel["targets"] = [
        {"refId": name, "datasource": DATASOURCE, "expr": expr, "format": "table", "instant": True, "range": False}
        for name, expr in (("nodes", nodes), ("edges", edges))
    ]
    renamed = {"Value #nodes": "mainstat", "Value #edges": "mainstat"}
    panel["transformations"] = [
        {"id": "organize", "options": {"renameByName": renamed, "excludeByName": {"Time": True}, "indexByName": {}}}
    ]
    panel["options"] = {
        "nodes": {"mainStatUnit": "reqps"},
        "edges": {"mainStatUnit": "reqps"},
        "layoutAlgorithm": "layered",
    }
    return panel


def placed(rows: Iterable[Row]) -> list[Panel]:
    """Return all panels with their places and numbers."""
    made: list[Panel] = []
    number = top = 0
    for row in rows:
        number += 1
        head: Panel = {"id": number, "type": "row", "title": row.title, "collapsed": row.collapsed, "panels": []}
        head["gridPos"] = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
        inside, bottom = _flow(row.panels, number, top + 1)
        number += len(inside)
        if row.collapsed:
            head["panels"] = inside
            made.append(head)
            top += 1
        else:
            made += [head, *inside]
            top = bottom
    return made


def _flow(panels: Iterable[Panel], number: int, top: int) -> tuple[list[Panel], int]:
    """Place panels as text is set: side by side while the line has room. Return them and where they end."""
    made, left, bottom = [], 0, top
    for offset, panel in enumerate(panels, 1):
        width, height = panel["gridPos"]["w"], panel["gridPos"]["h"]
        if left + width > _COLUMNS:
            left, top = 0, bottom
        made.append(panel | {"id": number + offset, "gridPos": {"x": left, "y": top, "w": width, "h": height}})
        left, bottom = left + width, max(bottom, top + height)
    return made, bottom


def _panel(kind: str, title: str, queries: Sequence[Query], width: int, height: int) -> Panel:
    return {
        "type": kind,
        "title": title,
        "datasource": DATASOURCE,
        "gridPos": {"w": width, "h": height},
        "targets": [_target(number, query) for number, query in enumerate(queries)],
    }


def _target(number: int, query: Query) -> dict[str, Any]:
    return {
        "refId": f"{chr(ord('A') + number % 26)}{number // 26 or ''}",
        "datasource": DATASOURCE,
        "expr": query.expr,
        "legendFormat": query.legend,
        "instant": query.instant,
        "range": not query.instant,
    }


def _fields(unit: str, *, thresholds: dict[str, Any], custom: dict[str, Any] | None = None) -> dict[str, Any]:
    """Lines, which have settings of their own, are told apart by colour; a single number is coloured by its limits."""
    color = {"mode": "palette-classic" if custom else "thresholds"}
    defaults: dict[str, Any] = {"unit": unit, "color": color, "thresholds": thresholds}
    return {"defaults": defaults | ({"custom": custom} if custom else {}), "overrides": []}


def _steps(limits: Mapping[str, float], base: str | None) -> dict[str, Any]:
    """Return the limits as Grafana's steps: the first has no value and is the colour below all others."""
    steps: list[dict[str, Any]] = [{"color": base or "transparent", "value": None}]
    steps += [{"color": color, "value": value} for color, value in sorted(limits.items(), key=lambda step: step[1])]
    return {"mode": "absolute", "steps": steps}
