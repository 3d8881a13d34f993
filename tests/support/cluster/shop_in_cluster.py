"""The reference flow as it runs in a cluster, seen as a fleet: oracles and the order service's client work on it.

Requests go through the API server to the flow's Services. Postgres and the broker are reached by tunnels: the broker by
a listener that only its own pod's loopback has, which knows everybody as a superuser; it gives its address as
127.0.0.1:9094, so that is where the tunnel has to begin.
"""

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from orderflow_cli.database import FAILURES
from orderflow_cli.servers.ports import is_free
from orderflow_model.loading.load import parse_flow
from support.cluster.cluster import Json, Namespace, aside
from support.cluster.tunnels import Tunnel, api_proxy, forward
from support.flow.fleet import Fleet
from support.flow.fleet import until as eventually
from support.flow.flows import changed

FLOW = Path(__file__).parents[3] / "manifests" / "flows" / "shop-admin.yaml"
IMAGE, NEXT_IMAGE = "orderflow/services:dev", "orderflow/services:e2e"
"""The second is the first and service F (tests/e2e/Dockerfile): another image, of which nobody runs yet."""
BROKER_PORT = 9094
LOYALTY: Json = {
    "name": "loyalty",
    "image": NEXT_IMAGE,
    "command": ["python", "-m", "orderflow_loyalty"],
    "subscribes": ["ORDER_COMPLETED"],
}


def of_service(name: str) -> str:
    """Give the labels of a service's pods."""
    return f"orderflow.dev/flow=shop,orderflow.dev/service={name}"


def manifest(namespace: str) -> Json:
    """Give the flow for that namespace, with retries and calls that a test can wait for, and small enough for CI."""
    flow: Json = yaml.safe_load(FLOW.read_text())
    flow["metadata"]["namespace"] = namespace
    flow["spec"]["kafka"]["bootstrapServers"] = [f"kafka.{namespace}.svc:9092"]
    flow["spec"]["defaults"]["delivery"] |= {"retries": 3, "delay": "200ms", "maxDelay": "2s"}
    for service in flow["spec"]["services"]:
        service |= {"resources": {"requests": {"cpu": "20m"}}}
        if service["name"] == "payment":
            service["env"].append({"name": "PAYMENT_PROVIDER_TIMEOUT", "value": "2"})
    return flow


class ShopInCluster(Fleet):
    """The flow's pods, its database and its topics."""

    def __init__(self, namespace: Namespace, proxy: Tunnel, postgres: Tunnel, folder: Path) -> None:
        secret = namespace.get("secret", "postgres-admin")["data"]["password"]
        password = base64.b64decode(secret).decode()
        self.namespace = namespace
        self.manifest = manifest(namespace.name)
        self.applied = time.monotonic()
        """When the flow was last applied."""
        self._proxy = proxy
        admin_url = f"postgresql://postgres:{password}@127.0.0.1:{postgres.port}/orderflow"
        super().__init__(parse_flow(self.manifest), f"127.0.0.1:{BROKER_PORT}", admin_url, folder)

    def url(self, name: str, path: str) -> str:
        """Give an address at a Service: a service's, whatever instance is named, or the payment provider's."""
        service = "payment-provider" if name == "provider" else f"shop-{name.removesuffix('-0')}"
        within = f"/api/v1/namespaces/{self.namespace.name}/services/{service}:http/proxy"
        return f"http://127.0.0.1:{self._proxy.port}{within}{path}"

    def apply(self, manifest: Json | None = None) -> None:
        """Apply the flow, as it was or as it shall be from now on."""
        self.manifest = manifest or self.manifest
        self.applied = time.monotonic()
        self.namespace.apply(self.manifest)
        self.flow = parse_flow(self.manifest)

    def change(self, place: str, value: Any) -> None:
        """Apply the flow with the value at a place, as in `flows.changed`."""
        self.apply(changed(self.manifest, place, value))

    def index(self, service: str) -> int:
        """Give a service's place in the flow's list."""
        return [one["name"] for one in self.manifest["spec"]["services"]].index(service)

    def until_ready(self, seconds: float = 240) -> float:  # type: ignore[override]  # of the whole flow, as it says
        """Wait until the flow says that it is Ready as it now is, not as it was; give the seconds that took."""
        began = time.monotonic()
        until_ready = ["wait", "orderflow/shop", "--for=condition=Ready", f"--timeout={seconds:.0f}s"]
        self.namespace.kubectl(*until_ready, seconds=seconds + 10)
        return time.monotonic() - began

    async def until_reachable(self, seconds: float = 120) -> None:
        """Wait until database and order service answer again."""

        async def answers() -> bool:
            try:
                await self.fetch("SELECT 1")
            except FAILURES:
                return False
            return True

        await eventually(answers, "the database answers", seconds, 0.5)
        await aside(self.until_ready, seconds)

    async def count(self, query: str, *args: object) -> int:
        """Give the one number that a query gives."""
        return int((await self.fetch(query, *args))[0][0])


@contextmanager
def shop_in(namespace: Namespace, folder: Path) -> Iterator[ShopInCluster]:
    """Open the ways to the platform in a namespace; the flow itself is for the caller to apply."""
    assert is_free(BROKER_PORT), f"port {BROKER_PORT} is in use on this machine: the broker's tunnel begins there"
    tunnels = [
        api_proxy(),
        forward(namespace.name, "pod/postgres-0", 5432),
        forward(namespace.name, "pod/kafka-0", BROKER_PORT, BROKER_PORT),
    ]
    try:
        for tunnel in tunnels:
            tunnel.open()
        yield ShopInCluster(namespace, tunnels[0], tunnels[1], folder)
    finally:
        for tunnel in tunnels:
            tunnel.close()
