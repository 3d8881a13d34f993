"""Writes the table of values in each chart's README from its values.yaml; `--check` only tells what differs.

A comment that begins with `--` describes the value below it. tests/charts runs the check.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

_CHARTS = Path(__file__).parents[1] / "charts"
_MARK = "# -- "
_BEGIN, _END = "<!-- values -->\n", "<!-- end of values -->\n"


def main() -> int:
    """Write or check every README; give the exit code."""
    check = "--check" in sys.argv[1:]
    charts = sorted(file.parent for file in _CHARTS.glob("*/Chart.yaml"))
    differing = [chart for chart in charts if not _update(chart, check)]
    for chart in differing:
        print(f"{chart.name}/README.md is not of its values.yaml: run python tools/chart_readmes.py")
    return 1 if differing else 0


def _update(chart: Path, check: bool) -> bool:
    """Return whether the README is as it should be, or make it so."""
    readme, text = chart / "README.md", (chart / "values.yaml").read_text()
    before, _, rest = readme.read_text().partition(_BEGIN)
    made = before + _BEGIN + _table(text) + _END + rest.partition(_END)[2]
    if check:
        return made == readme.read_text()
    readme.write_text(made)
    return True


def _table(text: str) -> str:
    lines = text.splitlines()
    rows = [
        f"| `{name}` | `{json.dumps(value)}` | {described} |"
        for name, value, described in _values(yaml.compose(text), lines)
    ]
    return "\n".join(["| value | default | |", "|---|---|---|", *rows]) + "\n"


def _values(node: Any, lines: list[str], above: str = "") -> Iterator[tuple[str, Any, str]]:
    """Yield name, default and description of every value below a mapping; ValueError for one without description."""
    for key, value in node.value:
        name = f"{above}{key.value}"
        comment = lines[key.start_mark.line - 1].strip() if key.start_mark.line else ""
        if comment.startswith(_MARK):
            yield name, yaml.safe_load(yaml.serialize(value)), comment.removeprefix(_MARK)
        elif isinstance(value, yaml.MappingNode) and value.value:
            yield from _values(value, lines, f"{name}.")
        else:
            raise ValueError(f"{name} has no comment that begins with {_MARK!r}")


if __name__ == "__main__":
    sys.exit(main())
