"""What cannot be measured: counted each time and told once a cause, for it is asked again every ten seconds."""

import logging
import re

from prometheus_client import CollectorRegistry, Counter

from orderflow_runtime.redaction import redacted_reason

logger = logging.getLogger(__name__)


class MeasureFaults:
    """The measures of a service that fail now, and why."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._failures = Counter(
            "orderflow_measure_failures", "Times a measure could not be taken", ["measure"], registry=registry
        )
        self._causes: dict[str, str] = {}

    def note(self, measure: str, error: Exception) -> None:
        """Count a failure, and tell of it when its cause is another than the time before."""
        self._failures.labels(measure).inc()
        reason = redacted_reason(error)
        cause = re.sub(r"\d+", "", reason)  # what counts up in an error's words is no other cause
        if self._causes.get(measure) != cause:
            logger.error("%s cannot be measured, and is told of again when that changes: %s", measure, reason)
        self._causes[measure] = cause

    def clear(self, measure: str) -> None:
        """Note that a measure was taken."""
        self._causes.pop(measure, None)
