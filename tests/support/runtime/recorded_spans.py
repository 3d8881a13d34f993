"""Spans kept in memory, for tests of tracing: `RecordedSpans` stands where the runtime hands its spans in."""

from orderflow_runtime.tracing.span_queue import Span, SpanQueue


class RecordedSpans(SpanQueue):
    """Keeps the spans instead of sending them."""

    def __init__(self) -> None:
        super().__init__(lambda spans, pause: b"", lambda request: None)
        self.all: list[Span] = []

    def add(self, span: Span) -> None:
        """Keep one."""
        self.all.append(span)

    def named(self, name: str) -> list[Span]:
        """Give the spans of a name."""
        return [span for span in self.all if span.template.name == name]

    def only(self, name: str) -> Span:
        """Give the one span of a name."""
        (span,) = self.named(name)
        return span
