"""What `desired` must know besides the flow: which optional APIs there are, and where the database stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from orderflow_model.postgres_uri import PostgresUri
from orderflow_operator.kubernetes.labels import Object, digest
from orderflow_operator.monitoring.settings import Monitoring

ROLLOUT_DEADLINE_SECONDS = 600


@dataclass(frozen=True)
class Database:
    """Where the flow's database stands, without credentials; pods start anew when it moves."""

    fingerprint: str = ""

    @classmethod
    def of(cls, uri: PostgresUri) -> "Database":
        """Return where a URI points; ValueError when the flow's pods cannot be sent there."""
        if not uri.hosts:
            raise ValueError("names no host: postgresql://user:password@host/database")
        if any(host.is_socket for host in uri.hosts):
            raise ValueError("names a Unix socket, which no pod of the flow can reach: name a host")
        if uri.database is None:
            raise ValueError("names no database: postgresql://user:password@host/database")
        place = uri.place if uri.parameters else f"{uri.place}?"  # as it was written before: no pod starts anew for it
        return cls(digest(place))


Port = int | str
"""A port of pods: its number, or the name that they have for it."""


@dataclass(frozen=True)
class Network:
    """Where the administrator lets pods of flows go: the ports of DNS, and egress rules as a NetworkPolicy has them."""

    dns_ports: tuple[int, ...] = (53, 5353)
    egress: tuple[Object, ...] = ()


@dataclass(frozen=True)
class Proofs:
    """What a flow proves itself with, as it stands: a mark each, which is another when the Secret is.

    `services`: by service, of its role and its Kafka user; pods start anew with another. `migrations`: by service, of
    the database's admin and its role; with another the role is set again. `missing`: services that have no Kafka
    password yet. `roomy`: those whose role's Secret tells of other places of the database too, for pods of before.
    """

    services: Mapping[str, str] = field(default_factory=dict)
    migrations: Mapping[str, str] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    roomy: frozenset[str] = frozenset()


@dataclass(frozen=True)
class BuildContext:
    """`keda`: its API is served. `database`: None while its Secret is missing. `rollout_deadline` in seconds.
    `monitoring`: None where the Prometheus operator's APIs are not served. `ports`: of the pods in the flow's namespace
    that it talks to. `several`: services that were seen with more than one pod. `places`: by service, the fingerprints
    of the databases in which its data was before and is.
    """

    keda: bool = False
    database: Database | None = None
    rollout_deadline: int = ROLLOUT_DEADLINE_SECONDS
    monitoring: Monitoring | None = None
    proofs: Proofs = field(default_factory=Proofs)
    network: Network = field(default_factory=Network)
    ports: tuple[Port, ...] = ()
    several: frozenset[str] = frozenset()
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def is_moving(self, service: str) -> bool:
        """Return whether a service's data was, or is, in another database: its schema has to be in this one already."""
        place = self.database
        return place is not None and any(one != place.fingerprint for one in self.places.get(service, ()))
