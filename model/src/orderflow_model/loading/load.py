"""From text to a flow, or to findings that name the place in the input.

The command line loads files; the operator parses what the API server sends.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from orderflow_model.findings import (
    MOST_SHOWN,
    Finding,
    InvalidResourceError,
    Place,
    Severity,
    did_you_mean,
    path_of,
    place_of,
    shortened,
)
from orderflow_model.flow import OrderFlow
from orderflow_model.lint.flow import lint
from orderflow_model.loading.fields import field_names
from orderflow_model.loading.strict_yaml import MOST_BYTES, Document, read_yaml


def load_flow(source: str | Path) -> OrderFlow:
    """Return the flow in a YAML text or in the file at a Path; raise `InvalidResourceError` when it is not sound."""
    return load_with_warnings(source)[0]


def load_with_warnings(source: str | Path) -> tuple[OrderFlow, tuple[Finding, ...]]:
    """Return the flow and what is legal but odd about it; raise `InvalidResourceError` when it is not sound.

    The error carries the warnings too, after the errors.
    """
    document = read_yaml(_text_of(source) if isinstance(source, Path) else source)
    try:
        flow = parse_flow(document.data)
        findings = lint(flow)
        if any(finding.severity is Severity.ERROR for finding in findings):
            raise InvalidResourceError(findings)
    except InvalidResourceError as refused:
        raise InvalidResourceError(_with_lines(refused.findings, document)) from None
    return flow, _with_lines(findings, document)


def parse_flow(data: object) -> OrderFlow:
    """Return the flow in plain data (mappings, lists, scalars), unlinted; raise `InvalidResourceError` when none."""
    if not isinstance(data, Mapping):
        raise InvalidResourceError([Finding("", f"an OrderFlow is a mapping, not {type(data).__name__}")])
    try:
        return OrderFlow.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False)[:MOST_SHOWN]
        raise InvalidResourceError(_finding(detail) for detail in details) from None


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1).decode()
    except OSError as error:
        raise InvalidResourceError([Finding("", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise InvalidResourceError([Finding("", f"is not UTF-8 at byte {error.start}")]) from None


def _with_lines(findings: tuple[Finding, ...], document: Document) -> tuple[Finding, ...]:
    return tuple(finding.on_line(document.line(place_of(finding.path))) for finding in findings)


def _finding(detail: ErrorDetails) -> Finding:
    place = _place(detail["loc"])
    return Finding(path_of(place), _message(detail, place))


def _place(steps: Place) -> Place:
    """Return the place in the input: without pydantic's own marks, and not into a schema or a status."""
    place = tuple(step for step in steps if step != "[key]")
    if place[:2] == ("spec", "events"):
        return place[:4] if place[3:4] == ("schema",) else place
    return place[:1] if place[:1] == ("status",) else place


def _message(detail: ErrorDetails, place: Place) -> str:
    match detail["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return f"unknown field{did_you_mean(str(place[-1]), field_names(place[:-1]))}"
        case "string_pattern_mismatch":
            return f"{_quoted(detail['input'])} does not match {detail['ctx']['pattern']}"
        case "rule":
            return detail["msg"]
        case "recursion_loop":
            return "is nested too deeply"
        case "too_long" | "string_too_long":
            return f"is too long: at most {detail['ctx']['max_length']}, not {len(detail['input'])}"
        case "too_short" | "string_too_short":
            return f"is too short: at least {detail['ctx']['min_length']}, not {len(detail['input'])}"
        case _:
            return f"{_lower(detail['msg'])}, not {_quoted(detail['input'])}"


def _quoted(value: Any) -> str:
    if isinstance(value, (Mapping, list, tuple)):
        return f"a {'mapping' if isinstance(value, Mapping) else 'list'} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a number of {value.bit_length()} bits"
    return shortened(repr(value) if isinstance(value, str) else str(value))


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
