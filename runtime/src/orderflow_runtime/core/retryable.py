"""What all failures have in common that are nobody's fault and pass: Kafka's, Postgres's, and those of ownership.

They say nothing of any event, so none counts as an attempt. Whoever began the work decides whether to begin it again.
"""


class Retryable(Exception):  # noqa: N818 - it says what to do about it
    """Nothing was done, or whether it was is not known; the same may succeed later."""
