"""The reference flow as plain data, as text and as a model, each test with its own copy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from orderflow_model.findings import place_of
from orderflow_model.flow import OrderFlow

SHOP = Path(__file__).parents[3] / "manifests" / "flows" / "shop.yaml"

Edit = Callable[..., dict[str, Any]]


@pytest.fixture
def shop_file() -> Path:
    """The file of the reference flow."""
    return SHOP


@pytest.fixture
def shop_text() -> str:
    """The reference flow as text."""
    return SHOP.read_text()


@pytest.fixture
def document(shop_text: str) -> dict[str, Any]:
    """The reference flow as plain data, free to be changed."""
    return dict(yaml.safe_load(shop_text))


@pytest.fixture
def shop(document: dict[str, Any]) -> OrderFlow:
    """The reference flow as a model."""
    return OrderFlow.model_validate(document)


@pytest.fixture
def edited(document: dict[str, Any]) -> Edit:
    """Put a value at a path of the reference flow; None as the value takes the path away."""

    def edit(changes: dict[str, Any]) -> dict[str, Any]:
        for path, value in changes.items():
            *above, last = place_of(path)
            node: Any = document
            for step in above:
                node = node.setdefault(step, {}) if isinstance(step, str) else node[step]
            if value is None:
                del node[last]
            else:
                node[last] = value
        return document

    return edit
