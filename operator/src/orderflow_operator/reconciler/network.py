"""On which ports the pods listen that a flow talks to in its own namespace; the reconcile asks.

A NetworkPolicy counts the port of a pod, an address names that of its Service, and the two may differ. So a Service
that the flow names in its own namespace is looked at; what lies elsewhere is the administrator's to open.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

from orderflow_model.flow import OrderFlow
from orderflow_model.postgres_uri import PostgresUri
from orderflow_model.spec.kafka import Provisioner
from orderflow_operator.kubernetes.labels import Object
from orderflow_operator.kubernetes.objects import ObjectClient
from orderflow_operator.resources.build_context import Port


def addresses(flow: OrderFlow, database: PostgresUri | None) -> list[tuple[str, int]]:
    """Return the hosts and ports that the flow's pods are sent to, but Strimzi's, whose pods are known by labels."""
    found = [(host.name, host.port) for host in database.hosts] if database else []
    if flow.spec.kafka.provisioner is Provisioner.ADMIN:
        split = (server.rpartition(":") for server in flow.spec.kafka.bootstrap_servers)
        found += [(host.strip("[]"), int(port)) for host, _, port in split]
    if (store := lake_address(flow)) is not None:
        found.append(store)
    if (provider := provider_address(flow)) is not None:
        found.append(provider)
    if (collector := flow.spec.tracing.address) is not None:
        found.append(collector)
    return found


def lake_address(flow: OrderFlow) -> tuple[str, int] | None:
    """Return host and port of the lake's object store; None where the cluster fills none, or it is AWS."""
    lake = flow.spec.analytics.lake if flow.spec.analytics else None
    if lake is None or lake.endpoint is None:
        return None
    return _place(lake.endpoint)


def provider_address(flow: OrderFlow) -> tuple[str, int] | None:
    """Return host and port of who says who people are that log in to the console; None where nobody is asked."""
    return _place(flow.spec.console.oidc.issuer) if flow.spec.console and flow.spec.console.oidc else None


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


async def pod_ports(namespace: str, named: Iterable[tuple[str, int]], cluster: ObjectClient) -> tuple[Port, ...]:
    """Return the ports themselves, and those (numbers or names) that Services in the namespace make of them."""
    found: set[Port] = set()
    for host, port in named:
        found.add(port)
        if service := _service(host, namespace):
            found.update(_behind(port, await cluster.service(namespace, service) or {}))
    return tuple(sorted(found, key=lambda port: (isinstance(port, str), port)))


def _service(host: str, namespace: str) -> str | None:
    """Return which Service of the namespace a host name means, None where it means none."""
    name, *rest = host.rstrip(".").split(".")
    within = not rest or (rest[0] == namespace and rest[1:2] in ([], ["svc"]))
    return name if within and name and not name.isdigit() else None


def _behind(port: int, service: Object) -> Iterable[Port]:
    ports = service.get("spec", {}).get("ports") or ()
    return [one["targetPort"] for one in ports if one.get("port") == port and one.get("targetPort")]
