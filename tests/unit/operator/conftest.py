"""The reference flow as the operator gets it from the API server, and objects found by kind and name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from orderflow_model.flow import OrderFlow
from orderflow_model.loading.load import parse_flow
from orderflow_operator.resources.build_context import BuildContext, Database
from orderflow_operator.resources.desired import desired

SHOP = Path(__file__).parents[3] / "manifests" / "flows" / "shop.yaml"

Built = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture
def document() -> dict[str, Any]:
    """The reference flow as plain data, with what the API server adds; free to be changed."""
    data = dict(yaml.safe_load(SHOP.read_text()))
    data["metadata"] |= {
        "namespace": "team-a",
        "uid": "0f0e0d0c-0000-4000-8000-000000000001",
        "generation": 1,
        "resourceVersion": "10",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    return data


@pytest.fixture
def shop(document: dict[str, Any]) -> OrderFlow:
    """The reference flow."""
    return parse_flow(document)


@pytest.fixture
def context() -> BuildContext:
    """A cluster with KEDA, and a database that is known."""
    return BuildContext(keda=True, database=Database("abcdef01"), ports=(5432,))


@pytest.fixture
def build(context: BuildContext) -> Callable[..., Built]:
    """All objects of a flow by kind and name."""

    def build_all(flow: OrderFlow, given: BuildContext = context) -> Built:
        objects = desired(flow, given)
        found = {(one["kind"], one["metadata"]["name"]): one for one in objects}
        assert len(found) == len(objects), "two objects have the same kind and name"
        return found

    return build_all
