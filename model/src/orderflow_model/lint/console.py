"""Lint of the console: the name of its program is free, and what it is told fits. Pure."""

import json
from collections.abc import Iterator

from orderflow_model.findings import Finding
from orderflow_model.flow import OrderFlow
from orderflow_model.lint.own_names import taken_names
from orderflow_model.service_part import console_config
from orderflow_model.spec.console import CONSOLE, CONSOLE_PLACE

_TOLD_BYTES = 200 * 1024
"""Of the 256 KiB that the annotations of a pod may have in all; others add theirs."""


def lint_console(flow: OrderFlow) -> Iterator[Finding]:
    """Yield what is wrong with the console of a flow."""
    if flow.spec.console is None:
        return
    yield from taken_names(flow, CONSOLE, CONSOLE_PLACE)
    if (size := len(json.dumps(console_config(flow)).encode())) > _TOLD_BYTES:
        words = f"the console is told the resource, which is {size // 1024} KiB, of {_TOLD_BYTES // 1024} KiB that fit"
        yield Finding(CONSOLE_PLACE, f"{words}: put schemas of events into ConfigMaps")
