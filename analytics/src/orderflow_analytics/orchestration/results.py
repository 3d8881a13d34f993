"""What dbt said of its tests, as results of checks."""

from collections.abc import Iterator, Mapping, Set
from graphlib import TopologicalSorter
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator
from dagster_dbt.asset_utils import get_asset_check_key_for_test

from orderflow_analytics.marts.artifacts import Artifacts, Outcome

_TRANSLATOR = DagsterDbtTranslator()


def model_keys(manifest: Mapping[str, Any]) -> list[Any]:
    """Return the assets of all models, each behind those that it is made from, as Dagster wants to hear of them."""
    order = TopologicalSorter(manifest["parent_map"]).static_order()
    return [_TRANSLATOR.get_asset_key(manifest["nodes"][node]) for node in order if node.startswith("model.")]


def check_results(manifest: Mapping[str, Any], made: Artifacts, wanted: Set[Any]) -> Iterator[Any]:
    """Yield a result for each test that dbt ran and that is wanted."""
    for outcome in made.outcomes:
        if not outcome.node.startswith("test."):
            continue
        key = get_asset_check_key_for_test(manifest, _TRANSLATOR, outcome.node, None)
        if key in wanted:
            yield _result(key, outcome)


def _result(key: Any, outcome: Outcome) -> Any:
    warned = outcome.status == "warn"
    return dg.AssetCheckResult(
        passed=outcome.held and not warned,
        asset_key=key.asset_key,
        check_name=key.name,
        severity=dg.AssetCheckSeverity.WARN if warned else dg.AssetCheckSeverity.ERROR,
        description=outcome.words or None,
        metadata={"failures": outcome.failures},
    )
