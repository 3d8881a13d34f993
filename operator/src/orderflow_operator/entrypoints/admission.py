"""The validating webhook: what the API server's own rules cannot see is refused before it is stored.

It judges by the very function whose verdict becomes Valid, so that the operator does the same without it, later.
"""

from collections.abc import Callable, Iterable
from typing import Any

import kopf

from orderflow_model.findings import Finding, InvalidResourceError
from orderflow_model.flow import GROUP, PLURAL, VERSION
from orderflow_model.lint.transitions import lint_change
from orderflow_model.loading.load import parse_flow
from orderflow_operator.kubernetes.labels import Object
from orderflow_operator.reconciler.validation import Validation

Validate = Callable[[Object], Validation]

_REFUSED = 422
_MOST_WARNINGS = 20


def register(registry: kopf.OperatorRegistry, validate: Validate) -> None:
    """Have kopf serve the webhook by that validation."""

    @kopf.on.validate(GROUP, VERSION, PLURAL, operations=["CREATE", "UPDATE"], registry=registry, id="orderflow")
    def admit(warnings: list[str], new: Any = None, old: Any = None, **_: Any) -> None:
        """Refuse what cannot be, warn of what is odd."""
        warnings.extend(review(dict(new), dict(old) if old else None, validate))


def review(new: Object, old: Object | None, validate: Validate) -> list[str]:
    """Return warnings for a new version of a resource; raise `AdmissionError` when it is refused."""
    if new["metadata"].get("deletionTimestamp"):
        return []
    validation = validate(new)
    if not validation.valid:
        raise kopf.AdmissionError(f"{validation.reason}: {validation.message}", code=_REFUSED)
    if validation.flow is not None and old is not None:
        changes = _changes(old, new)
        if changes:
            raise kopf.AdmissionError("; ".join(map(str, changes)), code=_REFUSED)
    return [str(finding) for finding in validation.warnings[:_MOST_WARNINGS]]


def _changes(old: Object, new: Object) -> Iterable[Finding]:
    try:
        return lint_change(parse_flow(_plain(old)), parse_flow(_plain(new)))
    except InvalidResourceError:
        return ()  # the old one was never valid: whatever is sound now is better


def _plain(raw: Object) -> Object:
    return {key: value for key, value in raw.items() if key != "status"}
