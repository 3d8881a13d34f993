"""What `desired` must know besides the flow: which optional APIs there are, and where the database stands."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from orderflow_operator.monitoring.settings import Monitoring
from orderflow_operator.resources.metadata import digest

POSTGRES_PORT = 5432
ROLLOUT_DEADLINE = 600


@dataclass(frozen=True)
class Database:
    """Where the flow's database stands, without credentials; pods start anew when it moves."""

    port: int = POSTGRES_PORT
    fingerprint: str = ""

    @classmethod
    def of(cls, uri: str) -> "Database":
        """Return where a URI points; ValueError when it is none."""
        parts = urlsplit(uri)
        if parts.scheme not in ("postgres", "postgresql") or not parts.hostname:
            raise ValueError("not of the form postgresql://user:password@host/database")
        place = f"{parts.hostname}:{parts.port or POSTGRES_PORT}{parts.path}?{parts.query}"
        return cls(parts.port or POSTGRES_PORT, digest(place))


@dataclass(frozen=True)
class Surroundings:
    """`keda`: its API is served. `database`: None while its Secret is missing. `rollout_deadline` in seconds.
    `monitoring`: None where the Prometheus operator's APIs are not served.
    """

    keda: bool = False
    database: Database | None = None
    rollout_deadline: int = ROLLOUT_DEADLINE
    monitoring: Monitoring | None = None
