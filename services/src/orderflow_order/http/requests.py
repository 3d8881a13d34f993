"""What the API takes in: the contracts' models made strict, so that a wrong place is refused by name."""

import re
import uuid
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from orderflow_contracts.event import LINES
from orderflow_runtime import ForeignId, Model
from orderflow_shop.events import (
    Address,
    Currency,
    Customer,
    Line,
    OptionalPersonal,
    OrderCreated,
    PaymentMethod,
    Street,
    payable,
)

_STRICT = ConfigDict(extra="forbid", strict=True, populate_by_name=False)
_NAMESPACE = uuid.UUID("5f0c7a52-0c0e-5d0e-9d53-3a1f7f6d2b60")
"""Where order ids come from; changing it would make repeated keys place second orders."""

_LINE_END = re.compile(r"\r\n?|\n")

IdempotencyKey = ForeignId
"""The client's own name for one order, unique for its customer."""


def _lines(street: Any) -> Any:
    """Return the lines that are not blank of one text or of a list of texts; anything else as it is, to be refused."""
    texts = street if isinstance(street, list) else [street]
    if not all(isinstance(text, str) for text in texts):
        return street
    lines = [line for text in texts for line in _LINE_END.split(text)]
    return "\n".join(line for line in lines if line.strip(" "))


def _unless_blank(text: Any) -> Any:
    return None if isinstance(text, str) and not text.strip(" ") else text


_SAID = r"[^ \r\n]"
_StreetText = Annotated[str, Field(max_length=500, pattern=LINES, json_schema_extra={"allOf": [{"pattern": _SAID}]})]
_StreetLine = Annotated[str, Field(max_length=99, pattern=LINES)]
_StreetLines = Annotated[
    list[_StreetLine], Field(min_length=1, max_length=5, json_schema_extra={"contains": {"pattern": _SAID}})
]
"""What is described of a street: more may be taken in, but what is so is."""
_Optional = Annotated[OptionalPersonal, BeforeValidator(_unless_blank)]


class CustomerRequest(Customer):
    """Who orders."""

    model_config = _STRICT


class LineRequest(Line):
    """So many of one article, at one price in minor units."""

    model_config = _STRICT


class PaymentRequest(PaymentMethod):
    """A token from the payment provider; never a card number."""

    model_config = _STRICT


class AddressRequest(Address):
    """Where the goods go. The lines of a street may also be a list; what is blank is taken for not given."""

    model_config = _STRICT

    street: Annotated[Street, BeforeValidator(_lines, json_schema_input_type=_StreetText | _StreetLines)]
    region: _Optional = None
    postcode: _Optional = None


class OrderRequest(Model):
    """An order to place. With `allowPartial`, what is in stock is delivered and charged."""

    model_config = _STRICT

    customer: CustomerRequest
    lines: Annotated[tuple[LineRequest, ...], Field(min_length=1, max_length=100), AfterValidator(payable)]
    currency: Currency
    payment: PaymentRequest
    ship_to: AddressRequest
    allow_partial: bool = False

    def created(self, key: str) -> OrderCreated:
        """Return the event of this order; the same customer and key always make the same order id."""
        return OrderCreated(
            order_id=str(uuid.uuid5(_NAMESPACE, f"{self.customer.id}\n{key}")),
            customer=self.customer,
            lines=self.lines,
            currency=self.currency,
            payment=self.payment,
            ship_to=self.ship_to,
            allow_partial=self.allow_partial,
        )


class KeyedOrderRequest(OrderRequest):
    """An order that carries its idempotency key with it: an item of a batch, or a webhook's body."""

    idempotency_key: IdempotencyKey
