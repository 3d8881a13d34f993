"""Runs a job of a cluster on a flow's database, as the admin; its last line becomes the pod's last words."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from typing import NoReturn, TypeVar

import msgspec

from orderflow_model import environment
from orderflow_model.postgres_uri import InvalidUriError, PostgresUri
from orderflow_runtime.postgres.connection_failures import CLIENT_FAILURES, without_identity
from orderflow_runtime.postgres.migration_failures import MigrationFailedError
from orderflow_runtime.settings import MisconfiguredError, required

logger = logging.getLogger(__name__)

T = TypeVar("T")


def run_job(name: str, work: Callable[[str], Coroutine[None, None, str]]) -> None:
    """Do the work, given the admin's URI, and log what it says it has done.

    Raise `SystemExit` after one line, which begins with the job's name: with 78 when its environment is wrong, with 1
    when Postgres, or what stands there, refuses the work.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        admin_uri = required(os.environ, environment.DATABASE_URL)
        logger.info("%s", asyncio.run(work(admin_uri)))
    except InvalidUriError as error:
        _end(f"{name} failed: {environment.DATABASE_URL}: {error}", os.EX_CONFIG)
    except MisconfiguredError as error:
        _end(f"{name} failed: {error}", os.EX_CONFIG)
    except CLIENT_FAILURES as error:
        _end(f"{name} failed: Postgres: {without_identity(str(error), PostgresUri.parse(admin_uri))}", 1)
    except (OSError, MigrationFailedError) as error:
        _end(f"{name} failed: {error}", 1)


def read_json(variable: str, text: bytes | str, form: type[T]) -> T:
    """Read what a variable gives; raise `MisconfiguredError` with the place when it is not of this form."""
    try:
        return msgspec.json.decode(text, type=form)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise MisconfiguredError(f"{variable}: {error}") from None


def _end(words: str, code: int) -> NoReturn:
    print(words, file=sys.stderr)
    sys.exit(code)
