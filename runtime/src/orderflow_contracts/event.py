"""The base of every event: a typed, versioned pydantic model.

Services subclass `Event`; the runtime decodes and encodes through it and knows no concrete event. A consumer
tolerates fields it does not know and lifts old versions by `UPCASTERS`, so a producer can move first.
"""

import json
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import from_json, to_json

if TYPE_CHECKING:
    from orderflow_contracts.envelope import Envelope


class UndecodableError(ValueError):
    """Bytes that are not the event they claim to be; `str()` is the reason, fit for a header."""


_NO_WHOLE_NUMBER = ("int_type", "int_from_float")
"""Kinds of pydantic's errors where a whole number was to stand."""
_MOST_DIGITS = 30

PERSONAL = {"personal": True}
"""Marks a field as personal data: `Annotated[str, Field(json_schema_extra=PERSONAL)]`."""
SUBJECT = {"subject": True}
"""Marks the id of the person whom the personal data of an event are about."""

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


class Model(BaseModel):
    """A value in an event: immutable, camelCase on the wire, unknown fields ignored, no NaN or infinity.

    Example:
        >>> class Customer(Model):
        ...     id: str
        ...     email: Annotated[str, Field(json_schema_extra=PERSONAL)]
        >>> Customer.read(b'{"id": "c1", "email": "ann@example.org"}').id
        'c1'
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        allow_inf_nan=False,
    )

    @classmethod
    def read(cls, value: bytes) -> Self:
        """Read it from JSON, strictly.

        Whole numbers may be written in any form (`2`, `2.0`, `2E0`), and a byte order mark may stand before.

        Args:
            value: JSON in UTF-8.

        Raises:
            ValueError: It is not JSON, or not of this form; pydantic's error says where.
        """
        value = value.removeprefix(BOM_UTF8)
        try:
            return cls.model_validate_json(value, strict=True, by_alias=True, by_name=False)
        except ValidationError as error:
            if not any(found["type"] in _NO_WHOLE_NUMBER for found in error.errors(include_input=False)):
                raise
        return cls.model_validate_json(_with_whole_numbers(value), strict=True, by_alias=True, by_name=False)


class Event(Model):
    """One thing that happened. Subclasses set `TYPE`, and `VERSION` with an upcaster for each older one.

    Example:
        >>> class PointsSpent(Event):
        ...     TYPE: ClassVar[str] = "POINTS_SPENT"
        ...     VERSION: ClassVar[int] = 2
        ...     UPCASTERS: ClassVar[Mapping[int, Upcaster]] = {1: lambda old: old | {"points": old["cents"] // 100}}
        ...
        ...     order_id: str
        ...     points: int
        ...
        ...     @property
        ...     def key(self) -> str:
        ...         return self.order_id
        >>> PointsSpent(order_id="o1", points=12).encode()
        b'{"orderId":"o1","points":12}'
        >>> PointsSpent.decode(b'{"orderId": "o1", "cents": 1250}', version=1).points
        12
    """

    TYPE: ClassVar[str]
    VERSION: ClassVar[int] = 1
    UPCASTERS: ClassVar[Mapping[int, Upcaster]] = {}

    @property
    def key(self) -> str:
        """Return the record key: events with the same key stay in order."""
        raise NotImplementedError

    @property
    def data_version(self) -> int:
        """Return the version of the contract that its data are written by."""
        return self.VERSION

    def encode(self) -> bytes:
        """Return the event as JSON, in UTF-8."""
        return self.__pydantic_serializer__.to_json(self, by_alias=True)

    @classmethod
    def decode(cls, value: bytes, version: int) -> Self:
        """Read the event from JSON of any version.

        Args:
            value: JSON in UTF-8.
            version: The version that it was written in; what is newer than this class is read as far as it is known.

        Raises:
            UndecodableError: It is not of this form, or too old to read; the message says where and why.
        """
        try:
            value = value.removeprefix(BOM_UTF8)
            if version < cls.VERSION:
                value = to_json(cls._upcast(_parsed(value), version))
            elif b"NaN" in value or b"Infinity" in value:
                _parsed(value)  # pydantic does not refuse these in a field that it does not read
            return cls.read(value)
        except ValueError as error:
            raise UndecodableError(_reason(cls.TYPE, error)) from None
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # an upcaster's or a validator's: whatever it raises is this event's own failure
            raise UndecodableError(f"{cls.TYPE}: the code that reads it raised {type(error).__name__}") from error

    @classmethod
    def received(cls, data: bytes, envelope: "Envelope", key: str) -> Self:
        """Make the event of what a record holds.

        Args:
            data: Its data, JSON in UTF-8.
            envelope: Its attributes.
            key: The record's key; an event that reads its own from the data leaves it aside.

        Raises:
            UndecodableError: It is not this event; the message says where and why.
        """
        return cls.decode(data, envelope.version)

    @classmethod
    def _upcast(cls, data: Any, version: int) -> Any:
        if not isinstance(data, dict):
            raise ValueError("Input should be an object")
        for step in range(version, cls.VERSION):
            if step not in cls.UPCASTERS:
                raise ValueError(f"version {step} is too old to read")
            data = cls.UPCASTERS[step](data)
        return data


def _parsed(value: bytes) -> Any:
    return from_json(value, allow_inf_nan=False)


def _with_whole_numbers(value: bytes) -> str:
    """Write numbers like `100.0` and `1E+2` as whole ones: JSON has one kind of number, and some write all alike."""
    try:
        return json.dumps(json.loads(value.decode(), parse_float=_number))
    except RecursionError:
        raise ValueError("Input is nested too deeply") from None


def _number(text: str) -> int | float:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return float(text)  # the exponent has more digits than there are exponents
    if number.is_zero():
        return 0
    # the exponent alone may ask for more digits than memory has
    is_whole = number.adjusted() < _MOST_DIGITS and number == number.to_integral_value()
    return int(number) if is_whole else float(text)


def _reason(event: str, error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return f"{event}: {error}"[:500]
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = "/" + "/".join(str(part) for part in first["loc"])
    return f"{event}{place}: {first['msg']}"[:500]


Identifier = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$")]
"""An id of ours: safe in a topic key, a URL and a log line as it is."""

_CHARACTER = r"[^\x00-\x1F\x7F-\x9F\u2028\u2029]"
ONE_LINE = f"^{_CHARACTER}+$"
"""Text without what ends a line or steers a terminal: the control characters C0 and C1, U+2028, U+2029."""
LINES = rf"^{_CHARACTER}+(\n{_CHARACTER}+)*$"
"""The same on several lines, none of them empty."""

ForeignId = Annotated[str, Field(min_length=1, max_length=255, pattern=ONE_LINE)]
"""An id that another system gave, compared and never taken apart: `A/4 grün+`, `gid://shop/7`.

Example:
    >>> class Article(Model):
    ...     sku: ForeignId
    >>> Article(sku="gid://shop/7").sku
    'gid://shop/7'
"""
