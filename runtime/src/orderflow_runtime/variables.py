"""Readers of environment variables: a wrong value is told with the name of its variable, before anything starts.

A word that is empty is not set; a number that is empty is none. What may be a secret is not quoted.
"""

import re
import ssl
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from orderflow_model import environment
from orderflow_runtime.settings import MisconfiguredError

_HOST = r"(?:[-_a-zA-Z0-9]{1,63}(?:\.[-_a-zA-Z0-9]{1,63})*\.?|\[[0-9a-fA-F:.]{2,45}\])"
"""A name's labels have up to 63 characters and none is empty (RFC 1035, 2.3.4): others end in an error of encoding."""
_SERVER = re.compile(rf"{_HOST}:([0-9]{{1,5}})")
_AUTHORITY = re.compile(rf"{_HOST}(?::([0-9]{{1,5}}))?")
_MOST_PORT = 65_535
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def whole_number(env: Mapping[str, str], name: str, default: int, most: int) -> int:
    """Return a variable that is a whole number from 0 on.

    Args:
        env: The environment to look in, `settings.env`.
        name: The variable's name.
        default: What it is when it is not set.
        most: The greatest that is taken.

    Raises:
        MisconfiguredError: It is no such number.

    Example:
        >>> whole_number({"REWARDS_PER_EURO": "2"}, "REWARDS_PER_EURO", default=1, most=100)
        2
        >>> whole_number({"REWARDS_PER_EURO": "two"}, "REWARDS_PER_EURO", default=1, most=100)
        Traceback (most recent call last):
        orderflow_runtime.settings.MisconfiguredError: REWARDS_PER_EURO=two is not a whole number up to 100
    """
    text = env.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and int(text) <= most):
        raise MisconfiguredError(f"{name}={text} is not a whole number up to {most}")
    return int(text)


def web_address(env: Mapping[str, str], name: str) -> str | None:
    """Return a variable that is the URL of an HTTP server; None when it is not set.

    Args:
        env: The environment to look in, `settings.env`.
        name: The variable's name.

    Raises:
        MisconfiguredError: It is no such URL, or has a user or password in it.

    Example:
        >>> web_address({"COUPONS_URL": "https://coupons.example:8443/api"}, "COUPONS_URL")
        'https://coupons.example:8443/api'
        >>> web_address({"COUPONS_URL": "coupons.example"}, "COUPONS_URL")
        Traceback (most recent call last):
        orderflow_runtime.settings.MisconfiguredError: COUPONS_URL is not a URL like http://host:8080 or https://host
    """
    if not (text := env.get(name)):
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    found = _AUTHORITY.fullmatch(parts.netloc)
    if not (text.isprintable() and " " not in text and parts.scheme in ("http", "https") and found) or (
        found[1] and not 0 < int(found[1]) <= _MOST_PORT
    ):
        raise MisconfiguredError(f"{name} is not a URL like http://host:8080 or https://host")
    return text


def servers(env: Mapping[str, str], name: str) -> str | None:
    """Return a variable that lists servers by host and port, between commas; raise `MisconfiguredError`."""
    if not (text := env.get(name)):
        return None
    found = [_SERVER.fullmatch(server.strip()) for server in text.split(",")]
    if not all(one and 0 < int(one[1]) <= _MOST_PORT for one in found):
        raise MisconfiguredError(f"{name}={text} is not a list like kafka-0:9092,kafka-1:9092")
    return ",".join(server.strip() for server in text.split(","))


def one_of(env: Mapping[str, str], name: str, default: str, choices: Iterable[str]) -> str:
    """Return a variable that is one of some words, in capitals however it is written; raise `MisconfiguredError`."""
    text = env.get(name) or default
    if text.upper() not in (known := tuple(choices)):
        raise MisconfiguredError(f"{name}={text} is none of {', '.join(known)}")
    return text.upper()


def log_level(env: Mapping[str, str]) -> str:
    """Return from which level on a process logs, at its start; raise `MisconfiguredError`."""
    return one_of(env, environment.LOG_LEVEL, "INFO", _LEVELS)


def certificates(env: Mapping[str, str], name: str) -> str | None:
    """Return a variable that names a file of trusted certificates; raise `MisconfiguredError` when it is none."""
    if not (path := env.get(name)):
        return None
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise MisconfiguredError(f"{name}={path} holds no certificate in PEM") from None
    except OSError as error:
        raise MisconfiguredError(f"{name}={path} cannot be read: {error.strerror}") from None
    return path
