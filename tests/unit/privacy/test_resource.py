"""`spec.privacy`: what a flow must not say, and what its services are told."""

from typing import Any

import pytest

from orderflow_model.flow import OrderFlow
from orderflow_model.lint.flow import lint
from orderflow_model.lint.transitions import lint_change
from orderflow_model.service_config import PrivacyRole
from orderflow_model.service_part import service_config
from support.flow.orders import shop_flow

SECRET = {"secretKeyRef": {"name": "shop-privacy", "key": "secret"}}


def flow(secret: Any = SECRET, readers: Any = ("order", "inventory"), **more: Any) -> OrderFlow:
    """Make the shop's flow with privacy."""
    return shop_flow("shop", privacy={"secret": secret, "readers": list(readers)}, **more)


@pytest.mark.parametrize(
    ("secret", "readers", "place"),
    [
        (SECRET, ("order", "billing"), "spec.privacy.readers"),
        ({"secretKeyRef": {"name": "shop-db", "key": "uri"}}, ("order",), "spec.privacy.secret"),
        ({"secretKeyRef": {"name": "shop-order.database", "key": "url"}}, ("order",), "spec.privacy.secret"),
    ],
)
def test_what_would_not_do_is_refused_with_its_place(secret: Any, readers: Any, place: str) -> None:
    """A reader that the flow has not, and a Secret that is for somebody else, for it reaches the readers' pods."""
    assert [one for one in lint(flow(secret, readers)) if one.path.startswith(place)]


def test_each_service_is_told_what_it_sees() -> None:
    """Readers read, others see masks, the sink keeps events as they are; without privacy nobody is told anything."""
    kept = flow(analytics={"image": "x", "contracts": "orderflow_shop.events"})
    told = {service.name: service_config(kept, service.name).privacy for service in kept.services}
    reader, masked = PrivacyRole.READER, PrivacyRole.MASKED
    assert told == {
        "order": reader,
        "inventory": reader,
        "payment": masked,
        "shipping": masked,
        "notification": masked,
        "raw": None,
    }
    assert "privacy" not in service_config(shop_flow("shop"), "order").model_dump_json()


def test_privacy_and_its_secret_stay() -> None:
    """What was sealed would not open any more; readers may change."""
    other = {"secretKeyRef": {"name": "other", "key": "secret"}}
    assert not lint_change(shop_flow("shop"), flow())
    assert not lint_change(flow(), flow(readers=("order",)))
    assert [one.path for one in lint_change(flow(), shop_flow("shop"))] == ["spec.privacy"]
    assert [one.path for one in lint_change(flow(), flow(other))] == ["spec.privacy"]
