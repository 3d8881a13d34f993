"""Runs a job of a cluster on a flow's database, as the admin; its last line becomes the pod's last words."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine

import asyncpg

from orderflow_model import environment
from orderflow_model.postgres_uri import InvalidUriError, PostgresUri
from orderflow_runtime.postgres.connection_failures import without_identity
from orderflow_runtime.postgres.migration_failures import MigrationFailedError

logger = logging.getLogger(__name__)


def run_job(name: str, work: Callable[[str], Coroutine[None, None, str]]) -> None:
    """Do the work, given the admin's URI, and log what it says it has done.

    Raise `SystemExit` with one line, which begins with the job's name, when the work or its environment is wrong.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    admin_uri = os.environ.get(environment.DATABASE_URL, "")
    try:
        logger.info("%s", asyncio.run(work(admin_uri)))
    except InvalidUriError as error:
        sys.exit(f"{name} failed: {environment.DATABASE_URL}: {error}")
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        sys.exit(f"{name} failed: Postgres: {without_identity(str(error), PostgresUri.parse(admin_uri))}")
    except KeyError as error:
        sys.exit(f"{name} failed: {error} is missing")
    except (OSError, ValueError, MigrationFailedError) as error:
        sys.exit(f"{name} failed: {error}")
