"""What the console is told by who starts it: the flow, where its parts are, and what a person would type instead.

`orderflow run` writes the file, and gives what holds passwords by the environment, as it does for services. In a
cluster the file is that of a program of the flow, with the resource in it, which says how people log in.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from orderflow_model import environment
from orderflow_model.flow import OrderFlow
from orderflow_model.names import object_name
from orderflow_model.postgres_uri import InvalidUriError, PostgresUri
from orderflow_model.spec.console import CLIENT_SECRET_VARIABLE, TOKEN_VARIABLE, Console

_SHORTEST_TOKEN = 20


class ConsoleConfig(BaseModel):
    """The file that ORDERFLOW_CONFIG names.

    Args:
        flow: The resource.
        urls: The base URL of each service, by name.
        state: The folder of runs, as given to `orderflow run`; None in a cluster.
        command: The words that run the `orderflow` command of this machine; none in a cluster.
    """

    flow: OrderFlow
    urls: dict[str, str]
    state: Path | None = None
    command: tuple[str, ...] = ()


class SettingsError(Exception):
    """The console cannot be started as it is told; the message names the variable."""


@dataclass(frozen=True)
class Access:
    """How people log in where others than this machine reach the console: what proves them, or us at a provider."""

    console: Console
    token: str | None = field(repr=False)
    client_secret: str | None = field(repr=False)

    @classmethod
    def read(cls, console: Console, env: Mapping[str, str]) -> "Access":
        """Read what the resource says, and the Secrets it names; raise `SettingsError` for a token to be guessed."""
        token = None
        if console.oidc is None and len(token := env.get(TOKEN_VARIABLE, "").strip()) < _SHORTEST_TOKEN:
            raise SettingsError(f"the token to log in by has to have {_SHORTEST_TOKEN} characters: mend its Secret")
        return cls(console, token, env.get(CLIENT_SECRET_VARIABLE))


@dataclass(frozen=True)
class Settings:
    """All that the console is told; without `access` it listens on `host` for this machine alone."""

    config: ConsoleConfig
    database: PostgresUri
    kafka_bootstrap: str
    host: str
    port: int
    access: Access | None = None
    metrics_port: int | None = None

    @classmethod
    def read(cls, env: Mapping[str, str]) -> "Settings":
        """Read the environment; raise `SettingsError`."""
        try:
            config, console = _config(Path(env[environment.CONFIG]).read_bytes())
            access = Access.read(console, env) if console else None
            host = env.get(environment.HTTP_HOST, environment.DEFAULT_HTTP_HOST)
            return cls(
                config=config,
                database=PostgresUri.parse(env[environment.DATABASE_URL]),
                kafka_bootstrap=env[environment.KAFKA_BOOTSTRAP],
                host=host if access else _loopback(host),
                port=int(env[environment.HTTP_PORT]),
                access=access,
                metrics_port=int(env[environment.METRICS_PORT]) if environment.METRICS_PORT in env else None,
            )
        except KeyError as error:
            raise SettingsError(f"{error.args[0]} is not set; orderflow run sets it") from None
        except (OSError, ValidationError, InvalidUriError, ValueError) as error:
            raise SettingsError(f"the console's settings cannot be read: {error}") from None


def _config(text: bytes) -> tuple[ConsoleConfig, Console | None]:
    """Read the file of a laptop, or that of a program in a cluster, where services are called by their names."""
    told = from_json(text)
    if not isinstance(told, dict) or "console" not in told:
        return ConsoleConfig.model_validate(told), None
    flow = OrderFlow.model_validate(told["console"])
    shown = flow.pictured()
    urls = {one.name: f"http://{object_name(flow.metadata.name, one.name)}" for one in shown.services}
    return ConsoleConfig(flow=shown, urls=urls), flow.spec.console


def _loopback(host: str) -> str:
    """Return the address; raise `ValueError` for one that other machines reach: whoever reaches the console may all."""
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"{environment.HTTP_HOST} {host} is no address of this machine alone")
    return host
