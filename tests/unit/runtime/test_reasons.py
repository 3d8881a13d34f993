"""What is told of errors: enough to act on, and nothing of people."""

from datetime import UTC, datetime
from typing import Annotated

import pytest
from pydantic import BaseModel, Field, ValidationError

from orderflow_contracts.event import PERSONAL
from orderflow_contracts.personal import personal_values
from orderflow_runtime.redaction import redacted_reason
from orderflow_runtime.service import CallOutcome, Received
from orderflow_shop.events import Address, Customer, OrderCreated

PEOPLE = ("ann@example.org", "Ann Åberg (x2)", "Main St. 1", "2nd floor", "Ghent", "East Flanders")


@pytest.fixture
def created() -> OrderCreated:
    """An order of a person."""
    email, name, street, floor, city, region = PEOPLE
    street = f"{street}\n{floor}"
    return OrderCreated.model_validate(
        {
            "orderId": "o-1",
            "customer": Customer(id="c1", email=email, name=name),
            "lines": [{"sku": "apple", "quantity": 1, "unitPrice": 300}],
            "currency": "EUR",
            "payment": {"token": "tok"},
            "shipTo": Address(name=name, street=street, city=city, region=region, country="BE"),
            "allowPartial": False,
        }
    )


def test_the_contract_says_what_is_personal(created: OrderCreated) -> None:
    """All that is marked is found, wherever it stands, and nothing else."""
    assert set(personal_values(created)) == {*PEOPLE, "c1"}


@pytest.mark.parametrize("value", [*PEOPLE, "c1"])
def test_an_error_that_quotes_a_person_is_told_without(created: OrderCreated, value: str) -> None:
    """A handler's own words are kept but for the values that the contract marks."""
    received = Received(created, "e-1", datetime(2026, 1, 1, tzinfo=UTC))
    told = redacted_reason(ValueError(f"no route to {value}, order o-1 of apple"), received)
    assert value not in told
    assert told == "ValueError: no route to ***, order o-1 of apple"


def test_only_whole_values_are_masked() -> None:
    """A short name does not tear holes into other words."""

    class Person(BaseModel):
        name: Annotated[str, Field(json_schema_extra=PERSONAL)]

    received = Received(Person(name="an"), "e", datetime(2026, 1, 1, tzinfo=UTC))  # type: ignore[type-var]  # any model
    assert redacted_reason(ValueError("an answer can wait"), received) == "ValueError: *** answer can wait"


def test_a_models_refusal_names_places_and_no_values() -> None:
    """Pydantic's own words would quote the input."""
    with pytest.raises(ValidationError) as refused:
        Customer.model_validate({"id": "c1", "email": "ann at example", "name": ""})
    told = redacted_reason(refused.value)
    assert "/email" in told
    assert "/name" in told
    assert "ann" not in told


def test_what_the_outside_was_asked_is_masked() -> None:
    """A port's request has no model: none of its texts is told."""
    request = {"messages": [{"to": "ann@example.org", "text": "Hello"}], "amount": 5}
    error = OSError("550 no mailbox ann@example.org")
    assert redacted_reason(error, request) == "OSError: 550 no mailbox ***"
    assert redacted_reason(error, CallOutcome("send", "k", request, {})) == "OSError: 550 no mailbox ***"


def test_postgres_detail_is_left_out() -> None:
    """It quotes the whole row."""
    error = RuntimeError("violates check constraint\nDETAIL:  Failing row contains (o-1, ann@example.org).")
    assert redacted_reason(error) == "RuntimeError: violates check constraint"
