"""What an order's trace must look like, whatever became of the order: asked of the spans that a collector has seen."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from support.records.otlp import Received, Seen

KEY = "messaging.kafka.message.key"
BATCH = "process batch"


@dataclass(frozen=True)
class OrderTrace:
    """All spans of one trace."""

    spans: Sequence[Seen]

    @property
    def by_id(self) -> Mapping[str, Seen]:
        """The spans by their ids."""
        return {span.id: span for span in self.spans}

    def named(self, name: str, service: str = "") -> list[Seen]:
        """Give the spans of a name, of one service if given."""
        return [span for span in self.spans if span.name == name and service in ("", span.service)]

    def only(self, name: str, service: str = "") -> Seen:
        """Give the one span of that name."""
        found = self.named(name, service)
        assert len(found) == 1, f"{len(found)} spans {name} of {service or 'all'}: {self}"
        return found[0]

    def parent(self, span: Seen) -> Seen | None:
        """Give a span's parent; None at a root."""
        return self.by_id.get(span.parent)

    def roots(self) -> list[Seen]:
        """Give the spans whose parent was not seen here."""
        return [span for span in self.spans if span.parent not in self.by_id]

    def pieces(self) -> int:
        """Count what hangs together: spans under one parent do, also where that parent died untold."""
        above = {span.id: span.parent or "root" for span in self.spans}
        ends = set()
        for at in above:
            while at in above:
                at = above[at]
            ends.add(at)
        return len(ends)

    def misplaced(self) -> list[str]:
        """Give the spans that do not hang where they belong."""
        return [f"{span.name} @{span.service}" for span in self.spans if not self._is_placed(span)]

    def _is_placed(self, span: Seen) -> bool:
        """A process hangs on the send of its event, all else on what its own service did."""
        above = self.parent(span)
        if above is None:
            return span.kind == "SERVER" or span.name == "place"
        if span.kind == "CONSUMER":
            return (above.kind, above.name) == ("PRODUCER", span.name.replace("process", "send"))
        return above.service == span.service and above.kind in ("CONSUMER", "INTERNAL", "SERVER")

    def __str__(self) -> str:
        """Draw it."""
        under: defaultdict[str, list[Seen]] = defaultdict(list)
        for span in sorted(self.spans, key=lambda span: span.began):
            under[span.parent if span.parent in self.by_id else ""].append(span)

        def draw(parent: str, depth: int) -> Iterable[str]:
            for span in under[parent]:
                yield f"{'  ' * depth}{span.name} @{span.service}{' FAILED' if span.failed else ''}"
                yield from draw(span.id, depth + 1)

        return "\n" + "\n".join(draw("", 0))


def traces_of(spans: Iterable[Seen]) -> dict[str, OrderTrace]:
    """Give the traces by id; spans of whole batches are no order's. A span told twice, with one id, counts once."""
    found: defaultdict[str, dict[str, Seen]] = defaultdict(dict)
    for span in spans:
        if span.name != BATCH:
            found[span.trace][span.id] = span
    return {trace: OrderTrace(list(spans.values())) for trace, spans in found.items()}


def trace_ids(spans: Iterable[Seen], order: str) -> set[str]:
    """Give the traces in which an order's events were sent or processed."""
    return {span.trace for span in spans if order in (span.attributes.get(KEY), span.attributes.get("orderflow.key"))}


async def spans_of(received: Received, order: str, quiet: float = 1.5, seconds: float = 60) -> list[Seen]:
    """Wait until no more spans of an order's traces come, and give all of these."""
    before, since, began = -1, time.monotonic(), time.monotonic()
    while time.monotonic() - began < seconds:
        spans = received.spans()
        ids = trace_ids(spans, order)
        found = [span for span in spans if span.trace in ids]
        if len(found) != before:
            before, since = len(found), time.monotonic()
        elif found and time.monotonic() - since > quiet:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"the spans of {order} do not come to rest: {before}")


async def order_trace(received: Received, order: str) -> OrderTrace:
    """Give an order's trace; fail where it has several, or one in pieces, or one whose spans hang elsewhere."""
    traces = traces_of(await spans_of(received, order))
    assert len(traces) == 1, f"order {order} has {len(traces)} traces: {[str(t) for t in traces.values()]}"
    trace = next(iter(traces.values()))
    assert trace.pieces() == 1, f"{trace.pieces()} pieces: {trace}"
    return trace
