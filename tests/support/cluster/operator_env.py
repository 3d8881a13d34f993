"""An operator at work in a namespace of its own, with doubles of nodes and of Strimzi: most tests act on it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.cluster.api import Api, Json, background
from support.cluster.controlplane import ControlPlane
from support.cluster.kubelet import Kubelet
from support.cluster.operator_process import ACCOUNT, OperatorProcess, make_account
from support.cluster.strimzi import Strimzi
from support.flow.fleet import until
from support.tools.names import unique_name
from support.tools.scratch import scratch_directory

USABLE = {"orderflow.dev/usable-by-flows": "true"}
"""Labels of a Secret that flows may name."""
_OURS = "app.kubernetes.io/managed-by=orderflow"
SELDOM_S = 1.0
"""How often to ask for all that was made: fifteen lists each time."""


class OperatorEnv:
    """The parts, and the words in which tests speak of a flow."""

    def __init__(self, api: Api, namespace: str, operator: OperatorProcess, plane: ControlPlane) -> None:
        self.api = api
        self.namespace = namespace
        self.operator = operator
        self.plane = plane
        self.kubelet = Kubelet(api, namespace)
        self.strimzi = Strimzi(api, namespace)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["OperatorEnv"]:
        """Let the doubles play; the operator is the test's to start, and ends with the body."""
        async with background(self.kubelet.run(), self.strimzi.run()):
            try:
                yield self
            finally:
                await asyncio.to_thread(self.operator.kill)

    async def start(self, url: str = "") -> None:
        """Start the operator, against the API server or a proxy."""
        self.operator.start(url)
        await self.operator.until_up()

    async def apply(self, flow: Json, *, database: bool = True) -> Json:
        """Apply a flow, and the Secret of its database unless told otherwise."""
        if database:
            await self.give_database(flow)
        return await self.api.apply(flow, self.namespace)

    async def give_database(self, flow: Json, uri: str = "postgresql://admin:pw@db.example:5432/shop") -> None:
        """Make the Secret that the flow names."""
        reference = flow["spec"]["database"]["secretKeyRef"]
        await self.give_secret(reference["name"], {reference["key"]: uri})

    async def give_secret(self, name: str, values: dict[str, str]) -> None:
        """Make a Secret that flows may name."""
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": USABLE}}
        await self.api.apply(secret | {"stringData": values}, self.namespace)

    async def flow(self, name: str) -> Json | None:
        """Give a flow as it stands."""
        return await self.api.get("OrderFlow", self.namespace, name)

    async def until(self, name: str, kind: str, status: str, reason: str = "", seconds: float = 90) -> Json:
        """Wait until a condition of the flow's present generation has this status (and reason); give it."""
        seen: Json = {}

        async def holds() -> bool:
            flow = await self.flow(name) or {}
            seen.clear()
            seen.update(condition(flow, kind))
            current = seen.get("observedGeneration") == flow.get("metadata", {}).get("generation")
            return current and seen["status"] == status and reason in ("", seen["reason"])

        try:
            await until(holds, "", seconds)
        except AssertionError:
            flow = await self.flow(name) or {}
            said = [(c["type"], c["status"], c["reason"], c["message"]) for c in _conditions(flow)]
            wanted = f"{kind} {status} {reason} within {seconds} s"
            raise AssertionError(f"not {wanted}: {said}\n{self.operator.tail()}") from None
        return dict(seen)

    async def until_ready(self, name: str, seconds: float = 120) -> Json:
        """Wait until the flow is ready in its present generation; give its Ready condition."""
        return await self.until(name, "Ready", "True", seconds=seconds)

    async def until_gone(self, kind: str, name: str, seconds: float = 60) -> None:
        """Wait until an object is not there."""

        async def gone() -> bool:
            return await self.api.get(kind, self.namespace, name) is None

        await until(gone, f"{kind} {name} is gone\n{self.operator.tail()}", seconds)

    async def made(self) -> dict[tuple[str, str], Json]:
        """Give what there is of the operator's making, by kind and name."""
        return await self.api.made(self.namespace, _OURS)

    async def named(self, kind: str, stem: str) -> str:
        """Give the name of an object of the operator's making, whose version may stand behind its stem."""
        found = await self.api.list(kind, self.namespace, _OURS)
        names = [item["metadata"]["name"] for item in found]
        return next(name for name in names if name == stem or name.startswith(f"{stem}."))

    async def make_as_older(self, kind: str, name: str) -> None:
        """Make an empty object of the small flow as an older operator did, with labels and owner."""
        service = await self.api.get("Service", self.namespace, "pair-asker") or {}
        metadata = {key: service["metadata"][key] for key in ("labels", "ownerReferences")}
        body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name} | metadata}
        await self.api.create(body, self.namespace)

    def writes(self) -> list[dict[str, str]]:
        """Give the operator's writes so far, leases and events aside."""
        return [call for call in self.plane.writes(self.operator.user) if call["resource"] not in ("events", "leases")]

    async def settle(self, quiet: float = 4, seconds: float = 60) -> int:
        """Wait until the operator has not written for a while; give how many writes it has made."""
        loop = asyncio.get_running_loop()
        deadline, last, since = loop.time() + seconds, -1, loop.time()
        while loop.time() - since < quiet:
            count = len(await asyncio.to_thread(self.writes))
            if count != last:
                last, since = count, loop.time()
            assert loop.time() < deadline, f"still writing after {seconds} s: {self.writes()[-5:]}"
            await asyncio.sleep(0.3)
        return last


@asynccontextmanager
async def new_namespace(api: Api, name: str, **labels: str) -> AsyncIterator[str]:
    """Give a namespace under Pod Security `restricted`; it goes with its control plane, for to empty it is work."""
    security = {"pod-security.kubernetes.io/enforce": "restricted"}
    await api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": security | labels}})
    try:
        yield name
    finally:
        for part in ("", "-cluster", "-webhook"):
            await api.delete("ClusterRoleBinding", "", f"{ACCOUNT}-{name}{part}")


@asynccontextmanager
async def new_env(plane: ControlPlane) -> AsyncIterator[OperatorEnv]:
    """Return an environment in a new namespace of a control plane, its operator not started."""
    async with Api(plane.url, plane.token) as api, new_namespace(api, unique_name("ns")) as namespace:
        token = await make_account(api, namespace)
        with scratch_directory() as folder:
            async with OperatorEnv(api, namespace, operator_of(plane, namespace, token, folder), plane).open() as env:
                yield env


def condition(flow: Json, kind: str) -> Json:
    """Give a condition of a flow, empty where there is none."""
    return next((found for found in _conditions(flow) if found["type"] == kind), {})


def _conditions(flow: Json) -> list[Json]:
    return list(flow.get("status", {}).get("conditions", ()))


def operator_of(plane: ControlPlane, namespace: str, token: str, scratch: Path) -> OperatorProcess:
    """Give an operator of one namespace, not started."""
    return OperatorProcess(plane, namespace, token, scratch / f"operator-{namespace}")
