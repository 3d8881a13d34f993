"""What a service is told: its part of the resource, and its environment. `main` reads both; `build` gets them.

It stands apart from `app.py` so that an author's module, and its tests, come by it without the clients of Kafka and
Postgres.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from orderflow_model import environment
from orderflow_model.service_config import ServiceConfig


class MisconfiguredError(Exception):
    """The environment, or the resource, does not fit the service; the message says what to change.

    Raised within `build` it ends the process with code 78, and its message is the pod's last words.

    Example:
        >>> def timeout(settings: Settings) -> float:
        ...     text = settings.env.get("PROVIDER_TIMEOUT", "5")
        ...     if not text.isdigit():
        ...         raise MisconfiguredError(f"PROVIDER_TIMEOUT={text} is not a number of seconds")
        ...     return float(text)
    """


@dataclass(frozen=True)
class Settings:
    """What a service is told.

    Args:
        config: Its part of the resource: topics, delivery, the saga's deadline. All times are in milliseconds.
        env: The process's environment, in which a service may look for variables of its own.

    Example:
        >>> def build(settings: Settings) -> Service:
        ...     is_strict = settings.env.get("REWARDS_STRICT") == "yes"
        ...     return rewards(is_strict)
    """

    config: ServiceConfig
    env: Mapping[str, str]

    @classmethod
    def read(cls, env: Mapping[str, str]) -> "Settings":
        """Read the file that ORDERFLOW_CONFIG names.

        Args:
            env: The environment to read.

        Raises:
            MisconfiguredError: The variable is not set, or its file is not there or not of this form.
        """
        path = required(env, environment.CONFIG)
        try:
            return cls(ServiceConfig.model_validate_json(Path(path).read_bytes()), env)
        except OSError as error:
            raise MisconfiguredError(f"{environment.CONFIG}={path} cannot be read: {error.strerror}") from None
        except ValidationError as error:
            raise MisconfiguredError(f"{environment.CONFIG}={path}: {_places(error)}") from None


def _places(error: ValidationError) -> str:
    """Return what is wrong in one line, each with its place."""
    found = error.errors(include_url=False, include_input=False)
    return "; ".join(f"/{'/'.join(map(str, one['loc']))}: {one['msg']}" for one in found)


def required(env: Mapping[str, str], name: str) -> str:
    """Return a variable that must be set.

    Args:
        env: The environment to look in, `settings.env`.
        name: The variable's name.

    Raises:
        MisconfiguredError: It is not set, or empty.

    Example:
        >>> required({"PROVIDER_URL": "http://provider"}, "PROVIDER_URL")
        'http://provider'
        >>> required({}, "PROVIDER_URL")
        Traceback (most recent call last):
        orderflow_runtime.settings.MisconfiguredError: PROVIDER_URL is not set
    """
    if not env.get(name):
        raise MisconfiguredError(f"{name} is not set")
    return env[name]
