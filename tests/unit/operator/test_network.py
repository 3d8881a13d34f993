"""Which ports a flow's pods need, where a Service's and its pods' differ."""

from typing import Any

import pytest

from orderflow_model.loading.load import parse_flow
from orderflow_model.postgres_uri import PostgresUri
from orderflow_operator.reconciler.network import addresses, pod_ports


class Services:
    """A cluster in which there are these Services, by name with their ports."""

    def __init__(self, **ports: list[dict[str, Any]]) -> None:
        self._ports = ports

    async def service(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Give a Service of the namespace `shop`."""
        return {"spec": {"ports": self._ports[name]}} if namespace == "shop" and name in self._ports else None


CLUSTER = Services(
    pooler=[{"port": 5432, "targetPort": 6432}, {"port": 80, "targetPort": 8080}], kafka=[{"port": 9092}]
)


@pytest.mark.parametrize("host", ["pooler", "pooler.shop", "pooler.shop.svc", "pooler.shop.svc.cluster.local."])
async def test_a_service_of_the_namespace_is_looked_at(host: str) -> None:
    """However its name is written, the port of its pods is open too, and no other of it."""
    assert await pod_ports("shop", [(host, 5432)], CLUSTER) == (5432, 6432)  # type: ignore[arg-type]  # its only use


@pytest.mark.parametrize(
    "host", ["pooler.elsewhere", "pooler.elsewhere.svc", "10.0.0.7", "db.example", "pooler.shop.example"]
)
async def test_what_lies_elsewhere_is_not_looked_at(host: str) -> None:
    """A Service of another namespace, an address and a name outside open nothing but the port that they have."""
    assert await pod_ports("shop", [(host, 5432)], CLUSTER) == (5432,)  # type: ignore[arg-type]  # its only use


async def test_a_port_that_pods_name_is_open_by_its_name() -> None:
    """Pods of one Service may listen on different ports under one name."""
    cluster = Services(db=[{"port": 5432, "targetPort": "postgres"}])
    assert await pod_ports("shop", [("db", 5432)], cluster) == (5432, "postgres")  # type: ignore[arg-type]  # its only use


def test_all_that_a_flow_talks_to_is_asked_for(document: dict[str, Any]) -> None:
    """Each host of the database, each broker, the collector; IPv6 too."""
    document["spec"]["kafka"] = {"provisioner": "Admin", "bootstrapServers": ["kafka:9092", "[::1]:9093"]}
    document["spec"]["tracing"] = {"endpoint": "http://collector:4317"}
    found = addresses(parse_flow(document), PostgresUri.parse("postgresql://a@one:5433,two/shop"))
    assert found == [("one", 5433), ("two", 5432), ("kafka", 9092), ("::1", 9093), ("collector", 4317)]
