"""How the operator bears a thousand flows of five services, on a real API server: `make bench-operator` runs it.

`bench_operator.py [FLOWS ...]` writes artifacts/bench-operator.json and prints the figures; for other numbers of flows
than the usual ones (--quick: 50) it writes bench-operator-quick.json. Etcd and the API server are real and share the
machine with the operator. In place of controllers, nodes and Strimzi a double says at once that all is ready, so that
what is measured is the operator and the server it talks to; the double's own writes go to the same server at the same
time. A flow has converged when it is Ready. Beside it stands how long the same writes take by themselves.
"""

import asyncio
import json
import os
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))  # for `support`, as pytest has it

from orderflow_model.loading.load import parse_flow
from orderflow_model.postgres_uri import PostgresUri
from orderflow_operator.resources.build_context import BuildContext, Database
from orderflow_operator.resources.desired import desired
from orderflow_operator.resources.secret import build_database
from support.cluster.api import Api, Json, background
from support.cluster.controlplane import ControlPlane
from support.cluster.crd_install import install, our_crds
from support.cluster.crds import keda_crds, strimzi_crds
from support.cluster.fake_controllers import make_ready, say_ready
from support.cluster.operator_env import USABLE, condition, operator_of
from support.cluster.operator_process import OperatorProcess, make_account
from support.flow.fleet import until
from support.flow.flows import service
from support.tools.go_tools import control_plane_programs
from support.tools.programs import executed
from support.tools.scratch import scratch_directory

FEW, MANY, QUICK, ALONE = 100, 1000, 50, 30
EDITS_PER_S, EDIT_SECONDS = 10, 30
REST_SECONDS = 30
MOST_SECONDS = 900
SERVICES = 5
APPLIERS = 16
EDITED = "EDITED"


def ring(name: str) -> Json:
    """Give a flow of five services, each hearing the one before it."""
    events = [f"E{number}" for number in range(SERVICES)]
    services = [
        service(f"s{number}", publishes=[events[number]], subscribes=[events[number - 1]], scale={"min": 1, "max": 3})
        for number in range(SERVICES)
    ]
    spec = {
        "kafka": {"provisioner": "Strimzi", "cluster": "events"},
        "database": {"secretKeyRef": {"name": "db", "key": "uri"}},
        "events": [{"name": event} for event in events],
        "services": services,
    }
    return {"apiVersion": "orderflow.dev/v1alpha1", "kind": "OrderFlow", "metadata": {"name": name}, "spec": spec}


class Field:
    """One namespace with so many flows, and the operator that has only them."""

    def __init__(self, api: Api, plane: ControlPlane, operator: OperatorProcess, namespace: str, flows: int) -> None:
        self.api = api
        self.plane = plane
        self.operator = operator
        self.namespace = namespace
        self.names = [f"f{number}" for number in range(flows)]
        self.settled: dict[str, int] = {}
        self.seen: dict[str, float] = {}

    async def measure(self) -> Json:
        """Give every figure of this number of flows."""
        self.operator.start()
        await self.operator.until_up()
        await asyncio.sleep(3)
        idle, cpu = self._rss(), self._all_cpu()
        async with background(make_ready(self.api, self.namespace), self._watch_flows(), self._watch_edits()):
            converged = await self._converge()
            spent = self._all_cpu()
            at_rest = await self._rest()
            counts = await asyncio.to_thread(self._calls)
            edits = await self._edit()
        return {
            "flows": len(self.names),
            "converge_s": round(converged, 1),
            "rss_idle_mb": _mb(idle),
            **at_rest,
            "rss_kb_per_flow": round((at_rest["rss_mb"] * 1024 - idle / 1024) / len(self.names), 1),
            **counts,
            "cpu_ms_per_flow": {name: round((spent[name] - cpu[name]) * 1000 / len(self.names)) for name in cpu},
            **edits,
        }

    async def _converge(self) -> float:
        started = time.monotonic()
        rest = iter(self.names)

        async def apply_some() -> None:
            for name in rest:
                await self.api.create(ring(name), self.namespace)

        await asyncio.gather(*(apply_some() for _ in range(APPLIERS)))
        print(f"  {len(self.names)} flows applied in {time.monotonic() - started:.1f} s", flush=True)
        await until(lambda: len(self.settled) == len(self.names), "all flows have converged", MOST_SECONDS, 0.25)
        return time.monotonic() - started

    async def _rest(self) -> Json:
        await self._until_quiet()
        before = await asyncio.to_thread(self._writes)
        cpu = self._cpu()
        await asyncio.sleep(REST_SECONDS)
        writes = await asyncio.to_thread(self._writes) - before
        share = (self._cpu() - cpu) / REST_SECONDS
        return {"writes_at_rest": writes, "cores_at_rest": round(share, 3), "rss_mb": _mb(self._rss())}

    async def _until_quiet(self) -> None:
        last = -1
        while (now := await asyncio.to_thread(self._writes)) != last:
            last = now
            await asyncio.sleep(5)

    async def _edit(self) -> Json:
        """Edit a variable of one service ten times a second; time from the edit to the sight of the new Deployment."""
        sent: dict[str, float] = {}
        edits, cpu, started = EDITS_PER_S * EDIT_SECONDS, self._cpu(), time.monotonic()
        for number in range(edits):
            await asyncio.sleep(max(0.0, started + number / EDITS_PER_S - time.monotonic()))
            name, value = self.names[number * 7 % len(self.names)], f"edit-{number}"
            flow = ring(name)
            flow["spec"]["services"][0]["env"] = [{"name": EDITED, "value": value}]
            sent[value] = time.monotonic()
            await self.api.patch("OrderFlow", self.namespace, name, {"spec": {"services": flow["spec"]["services"]}})
        await asyncio.sleep(5)
        took = sorted(self.seen[value] - at for value, at in sent.items() if value in self.seen)
        share = (self._cpu() - cpu) / (time.monotonic() - started)
        return {
            "edits": edits,
            "edits_seen": len(took),  # an edit that a later one of the same flow overtook is not seen
            "p50_edit_to_written_s": round(statistics.median(took), 3),
            "p99_edit_to_written_s": round(took[min(len(took) - 1, int(len(took) * 0.99))], 3),
            "cores_under_edits": round(share, 3),
            "rss_mb_under_edits": _mb(self._rss()),
        }

    async def _watch_flows(self) -> None:
        async for _, flow in self.api.follow("OrderFlow", self.namespace):
            ready = condition(flow, "Ready")
            if ready.get("status") == "True" and ready["observedGeneration"] == flow["metadata"]["generation"]:
                self.settled[flow["metadata"]["name"]] = ready["observedGeneration"]

    async def _watch_edits(self) -> None:
        async for _, found in self.api.follow("Deployment", self.namespace):
            for variable in found["spec"]["template"]["spec"]["containers"][0]["env"]:
                if variable["name"] == EDITED:
                    self.seen.setdefault(variable["value"], time.monotonic())

    def _writes(self) -> int:
        return len(self.plane.writes(self.operator.user))

    def _calls(self) -> Json:
        calls = self.plane.calls(self.operator.user)
        verbs = Counter(call["verb"] for call in calls)
        writes = sum(count for verb, count in verbs.items() if verb not in ("get", "list", "watch"))
        flows = len(self.names)
        kinds = Counter(" ".join((call["verb"], *_what(call))) for call in calls if call["verb"] != "watch")
        return {
            "calls_per_flow": round(len(calls) / flows, 1),
            "most_calls_per_flow": {kind: round(count / flows, 1) for kind, count in kinds.most_common(16)},
            "writes_per_flow": round(writes / flows, 1),
            "refused_calls": sum(call["code"] >= "400" for call in calls),
        }

    def _all_cpu(self) -> dict[str, float]:
        """Give the CPU seconds so far of all who take part."""
        numbers = self.plane.processes() | {"operator": self.operator.pid, "double": os.getpid()}
        return {name: sum(psutil.Process(number).cpu_times()[:2]) for name, number in numbers.items()}

    def _rss(self) -> int:
        return int(psutil.Process(self.operator.pid).memory_info().rss)

    def _cpu(self) -> float:
        times = psutil.Process(self.operator.pid).cpu_times()
        return float(times.user + times.system)


def _what(call: dict[str, str]) -> list[str]:
    return [part for part in (call.get("resource", ""), call.get("subresource", "")) if part]


async def writes_alone(api: Api, namespace: str, flows: int) -> float:
    """Give the seconds a flow in which a bare client makes the same objects and says that they are ready.

    Nothing that makes these objects one by one can be faster on this machine.
    """
    slots = asyncio.Semaphore(APPLIERS)

    async def write(wanted: Json) -> None:
        async with slots:
            found = await api.apply(wanted, namespace)
            await say_ready(api, found)

    async def make(name: str) -> None:
        flow = await api.create(ring(name), namespace)
        await asyncio.gather(*(write(wanted) for wanted in objects_of(flow)))

    started = time.monotonic()
    await asyncio.gather(*(make(f"alone{number}") for number in range(flows)))
    return (time.monotonic() - started) / flows


def objects_of(raw: Json) -> list[Json]:
    """Give all that the operator makes of a flow."""
    flow = parse_flow({key: value for key, value in raw.items() if key != "status"})
    admin = PostgresUri.parse("postgresql://a:b@db.example/shop")
    secrets = [build_database(flow, one.name, admin, "pw") for one in flow.spec.services]
    return [*secrets, *desired(flow, BuildContext(keda=True, database=Database()))]


async def run(flows: list[int]) -> list[Json]:
    """Measure each number of flows in a namespace of its own, on one API server."""
    with scratch_directory() as folder:
        plane = ControlPlane(control_plane_programs(), folder / "controlplane")
        plane.start(controllers=False)
        try:
            await install(plane, [*our_crds(), *strimzi_crds(), *keda_crds()])
            async with Api(plane.url, plane.token) as api:
                await api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "alone"}})
                alone = await writes_alone(api, "alone", ALONE)
                print(f"the writes alone: {alone:.3f} s a flow", flush=True)
                return [
                    {"writes_alone_s": round(alone * count, 1), **await _measure(api, plane, folder, count)}
                    for count in flows
                ]
        finally:
            plane.stop()


async def _measure(api: Api, plane: ControlPlane, folder: Path, flows: int) -> Json:
    namespace = f"bench-{flows}"
    print(f"{flows} flows of {SERVICES} services", flush=True)
    await api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "labels": USABLE}}
    await api.create(secret | {"stringData": {"uri": "postgresql://admin:pw@db.example:5432/shop"}}, namespace)
    operator = operator_of(plane, namespace, await make_account(api, namespace), folder)
    operator.program = executed
    try:
        found = await Field(api, plane, operator, namespace, flows).measure()
    except AssertionError as failed:
        raise SystemExit(f"{failed}\n{operator.tail()}") from None
    finally:
        operator.stop()
    for name, value in found.items():
        print(f"  {name:<28}{value}", flush=True)
    return found


def _mb(size: float) -> float:
    return round(size / 2**20, 1)


def main() -> None:
    """Measure and write the figures."""
    given = [QUICK if argument == "--quick" else int(argument) for argument in sys.argv[1:]]
    machine = {"cores": psutil.cpu_count(), "busy_cores_at_start": round(psutil.getloadavg()[0], 1)}
    found = asyncio.run(run(given or [FEW, MANY]))
    few, many = found[0], found[-1]
    figures: dict[str, Any] = {
        "p99_edit_to_written_s_at_100": few["p99_edit_to_written_s"],
        "converge_s_at_1000": many["converge_s"],
        "writes_alone_s_at_1000": many["writes_alone_s"],
        "rss_mb": many["rss_mb"],
        "rss_kb_per_flow": many["rss_kb_per_flow"],
        "writes_at_rest": many["writes_at_rest"],
    }
    shown = {"machine": machine, "runs": found} | ({} if given else figures)
    file = Path("artifacts") / ("bench-operator-quick.json" if given else "bench-operator.json")
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(shown, indent=2) + "\n")
    print(f"written to {file}")


if __name__ == "__main__":
    main()
