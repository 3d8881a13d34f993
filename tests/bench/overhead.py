"""What tracing costs: the same flow without it, in part, in whole, and with a collector that is dead, by turns.

Called by `measure.py`. A turn restarts the services in its mode, so that all modes meet the same machine within a
round; what is compared is a mode with `off` of the same round, and the median over the rounds is given.
"""

import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

# a process that starts others must not have gRPC's threads begin anew between fork and exec
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import grpc
from load import Client, steady_rates
from orders import Orders
from system import System

from orderflow_cli.servers.ports import free_port
from orderflow_model.flow import OrderFlow

OFF = "off"
MODES: Mapping[str, Mapping[str, str]] = {
    OFF: {},
    "10 %": {"sampling": "10", "endpoint": "{alive}"},
    "100 %": {"sampling": "100", "endpoint": "{alive}"},
    "10 %, collector dead": {"sampling": "10", "endpoint": "{dead}"},
}
_RATE = 100


@dataclass(frozen=True)
class Turns:
    """How much of it: rounds of all modes, orders of a closed loop and before it, seconds of an open loop."""

    rounds: int
    warm_up: int
    closed: int
    open_s: int


class Sink:
    """A collector that takes everything and looks at nothing; `taken` counts the bytes."""

    def __init__(self) -> None:
        self.taken = 0

    def take(self, request: bytes, _: Any) -> bytes:
        """Take one request."""
        self.taken += len(request)
        return b""


@contextmanager
def sink() -> Iterator[tuple[Sink, str]]:
    """Serve a sink; gives it and its endpoint."""
    taking, server = Sink(), grpc.server(ThreadPoolExecutor(2))
    export = grpc.unary_unary_rpc_method_handler(taking.take)
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": export}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield taking, f"http://127.0.0.1:{port}"
    finally:
        server.stop(0)


async def overhead(system: System, client: Client, turns: Turns) -> dict[str, Any]:
    """Measure every mode in every round, each round beginning with another; the services are left without tracing."""
    plain, found = system.fleet.flow, {mode: [] for mode in MODES}
    with sink() as (taking, alive):
        places = {"alive": alive, "dead": f"http://127.0.0.1:{free_port()}"}
        for number in range(turns.rounds):
            for mode in [*MODES][number % len(MODES) :] + [*MODES][: number % len(MODES)]:
                tracing = {name: value.format(**places) for name, value in MODES[mode].items()}
                await system.restart(_traced(plain, tracing))
                before = taking.taken
                figures = await _turn(system, client, f"{mode} {number}", turns)
                found[mode].append(figures | {"bytes_to_collector": taking.taken - before})
        await system.restart(plain)
    return {mode: _summary(rounds, found[OFF]) for mode, rounds in found.items()}


def _traced(flow: OrderFlow, tracing: Mapping[str, str]) -> OrderFlow:
    spec = flow.spec.model_copy(update={"tracing": type(flow.spec.tracing).model_validate(dict(tracing))})
    return flow.model_copy(update={"spec": spec})


async def _turn(system: System, client: Client, seed: str, turns: Turns) -> dict[str, float]:
    orders = Orders(seed.replace(" ", "_"))  # the orders' idempotency keys bear it
    await client.closed_loop(orders.take(turns.warm_up))
    placed, before, began = orders.take(turns.closed), system.read(), time.monotonic()
    rates = steady_rates(await client.closed_loop(placed), 3)
    spent, seconds = system.read().since(before), time.monotonic() - began
    loop = await client.open_loop(orders.take(_RATE * turns.open_s), _RATE)
    return {
        "orders_per_s": statistics.median(rates),
        "cpu_s_per_1000_orders": 1000 * spent.total / len(placed),
        "p99_ms": loop.summary()["p99_ms"],
        "other_load_cores": spent.others / seconds,
    }


def _summary(rounds: Sequence[Mapping[str, float]], off: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Give the medians, and by how much each differs from `off` of its round, in percent."""
    names = ("orders_per_s", "cpu_s_per_1000_orders", "p99_ms")
    against = {
        name: round(100 * statistics.median(a[name] / b[name] - 1 for a, b in zip(rounds, off, strict=True)), 1)
        for name in names
    }
    medians = {name: round(statistics.median(figures[name] for figures in rounds), 3) for name in rounds[0]}
    every = [{name: round(value, 3) for name, value in figures.items()} for figures in rounds]
    return medians | {"percent_more_than_off": against, "rounds": every}
