"""The limit that Kafka sets: five bare aiokafka processes in a row (`hop.py`), no database, the flow's own bytes.

Five processes rather than one, since that is what the flow has, and since one process would be held to one core.
Partitions, keys, headers and sizes are the flow's; each order is six messages and five hops.
"""

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from aiokafka import AIOKafkaProducer
from arrivals import Arrivals
from hop import new_producer, send

from orderflow_cli.servers.child_process import spawn
from orderflow_runtime.core.event_log import Message, pack

EVENTS = (
    "ORDER_CREATED",
    "STOCK_RESERVED",
    "PAYMENT_PROCESSED",
    "INVENTORY_UPDATED",
    "SHIPMENT_CREATED",
    "ORDER_COMPLETED",
)
HOP = Path(__file__).with_name("hop.py")
_IN_FLIGHT = 4_000
_AT_ONCE = 500


async def pipeline(
    bootstrap: str, topics: Sequence[str], messages: Sequence[Sequence[Message]], count: int, folder: Path
) -> list[float]:
    """Send so many orders through; give when each came out (monotonic seconds, ascending).

    `topics` are those of EVENTS; `messages` are real ones for each.
    """
    templates = [_typical(of_topic) for of_topic in messages]
    with ExitStack() as stack:
        for hop in range(len(topics) - 1):
            stack.enter_context(_hop(bootstrap, topics[hop], topics[hop + 1], templates[hop + 1], folder))
        arrivals = stack.enter_context(Arrivals(bootstrap, topics[-1:]))
        await asyncio.to_thread(_until_ready, folder, topics[:-1])
        producer = new_producer(bootstrap)
        await producer.start()
        try:
            await _feed(producer, topics[0], templates[0], count, arrivals)
        finally:
            await producer.stop()
        return sorted(arrivals.at.values())


async def _feed(producer: AIOKafkaProducer, topic: str, template: Message, count: int, arrivals: Arrivals) -> None:
    keys = [b"%08d" % number + (template.key or b"")[8:] for number in range(count)]
    for start in range(0, count, _AT_ONCE):
        while start - len(arrivals.at) > _IN_FLIGHT:  # noqa: ASYNC110 - a thread counts
            await asyncio.sleep(0.002)
        part = [(key, template) for key in keys[start : start + _AT_ONCE]]
        await asyncio.gather(*await send(producer, topic, part))
    await arrivals.wait_for([key.decode() for key in keys], 120)


def _typical(messages: Sequence[Message]) -> Message:
    """The message of median size."""
    return sorted(messages, key=lambda message: len(message.value))[len(messages) // 2]


@contextmanager
def _hop(bootstrap: str, source: str, target: str, template: Message, folder: Path) -> Iterator[None]:
    packed = folder / f"{source}.template"
    packed.write_bytes(pack([template]))
    with (folder / f"{source}.hop").open("wb") as output:
        process = spawn([sys.executable, str(HOP), bootstrap, source, target, str(packed)], output=output)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _until_ready(folder: Path, sources: Sequence[str]) -> None:
    deadline = time.monotonic() + 60
    while any(b"ready" not in (folder / f"{source}.hop").read_bytes() for source in sources):
        if time.monotonic() > deadline:
            raise TimeoutError("the bare pipeline did not start in 60 s")
        time.sleep(0.05)
