"""Durations and quantities read as what they say."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from orderflow_model.spec.scalars import Duration, Quantity

UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


@given(st.integers(1, 999_999_999), st.sampled_from(sorted(UNITS)))
def test_a_duration_is_its_number_times_its_unit(number: int, unit: str) -> None:
    """Every number with every unit gives exactly that many milliseconds."""
    duration = TypeAdapter(Duration).validate_python(f"{number}{unit}")
    assert duration.milliseconds == number * UNITS[unit]


@given(st.text(max_size=12))
def test_no_other_text_is_a_duration(text: str) -> None:
    """Any text either is a number and a unit, or is refused."""
    try:
        assert TypeAdapter(Duration).validate_python(text).milliseconds > 0
    except ValidationError:
        with pytest.raises(ValidationError):
            TypeAdapter(Duration).validate_json(f'"{text}"'.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    ("text", "amount"),
    [("250m", "0.25"), ("2", "2"), ("0.5", "0.5"), ("1k", "1000"), ("128Mi", "134217728"), ("1T", "1e12")],
)
def test_a_quantity_is_what_kubernetes_takes_it_for(text: str, amount: str) -> None:
    """Decimal and binary suffixes, and thousandths, count as in Kubernetes."""
    assert TypeAdapter(Quantity).validate_python(text).amount == Decimal(amount)
