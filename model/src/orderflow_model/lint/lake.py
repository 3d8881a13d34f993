"""Lint of the lake: the name of its program is free, and what is kept by itself is an event of the flow. Pure."""

from collections.abc import Iterator

from orderflow_model.findings import Finding, did_you_mean
from orderflow_model.flow import OrderFlow
from orderflow_model.lint.own_names import taken_names
from orderflow_model.service_part import lake_config
from orderflow_model.spec.analytics import ANALYTICS
from orderflow_model.spec.lake import LAKE, LAKE_PLACE

_TOLD_BYTES = 200 * 1024
"""Of the 256 KiB that the annotations of a pod may have in all; others add theirs."""


def lint_lake(flow: OrderFlow) -> Iterator[Finding]:
    """Yield what is wrong with how long and where a flow's events are kept."""
    analytics = flow.spec.analytics
    if analytics is None:
        return
    declared = [event.name for event in flow.spec.events]
    for index, kept in enumerate(analytics.retention.events):
        if kept.event not in declared:
            message = f"{kept.event} is not declared in spec.events{did_you_mean(kept.event, declared)}"
            yield Finding(f"{ANALYTICS}.retention.events[{index}].event", message)
    if analytics.lake is not None:
        yield from taken_names(flow, LAKE, LAKE_PLACE)
        if (size := len(lake_config(flow).model_dump_json().encode())) > _TOLD_BYTES:
            words = f"what the lake is told of the events is {size // 1024} KiB, of {_TOLD_BYTES // 1024} KiB that fit"
            yield Finding(LAKE_PLACE, f"{words}: name fewer personalData, or those above them")
