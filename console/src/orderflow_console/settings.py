"""What the console is told by who starts it: the flow, where its parts are, and what a person would type instead.

`orderflow run` writes the file, and gives what holds passwords by the environment, as it does for services.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from orderflow_model import environment
from orderflow_model.flow import OrderFlow
from orderflow_model.postgres_uri import InvalidUriError, PostgresUri


class ConsoleConfig(BaseModel):
    """The file that ORDERFLOW_CONFIG names.

    Args:
        flow: The resource.
        urls: The base URL of each service, by name.
        state: The folder of runs, as given to `orderflow run`.
        command: The words that run the `orderflow` command of this machine.
    """

    flow: OrderFlow
    urls: dict[str, str]
    state: Path
    command: tuple[str, ...]


class SettingsError(Exception):
    """The console cannot be started as it is told; the message names the variable."""


@dataclass(frozen=True)
class Settings:
    """All that the console is told; it listens on `host`, which is a loopback address."""

    config: ConsoleConfig
    database: PostgresUri
    kafka_bootstrap: str
    host: str
    port: int

    @classmethod
    def read(cls, env: Mapping[str, str]) -> "Settings":
        """Read the environment; raise `SettingsError`."""
        try:
            return cls(
                config=ConsoleConfig.model_validate_json(Path(env[environment.CONFIG]).read_bytes()),
                database=PostgresUri.parse(env[environment.DATABASE_URL]),
                kafka_bootstrap=env[environment.KAFKA_BOOTSTRAP],
                host=_loopback(env.get(environment.HTTP_HOST, environment.DEFAULT_HTTP_HOST)),
                port=int(env[environment.HTTP_PORT]),
            )
        except KeyError as error:
            raise SettingsError(f"{error.args[0]} is not set; orderflow run sets it") from None
        except (OSError, ValidationError, InvalidUriError, ValueError) as error:
            raise SettingsError(f"the console's settings cannot be read: {error}") from None


def _loopback(host: str) -> str:
    """Return the address; raise `ValueError` for one that other machines reach: whoever reaches the console may all."""
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"{environment.HTTP_HOST} {host} is no address of this machine alone")
    return host
