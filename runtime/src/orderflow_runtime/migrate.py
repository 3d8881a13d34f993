"""The migration job of a cluster: `python -m orderflow_runtime.migrate`, one job per service and version.

ORDERFLOW_MIGRATION names a JSON file `{"flow": ..., "owner": NAMESPACE/FLOW, "services": {service: command},
"migrations": {service: folder, where the resource names it}}`, ORDERFLOW_PASSWORDS a folder with a file per service,
ORDERFLOW_DATABASE_URL is the admin's. On a laptop `orderflow run` does the same by itself.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from orderflow_model import environment
from orderflow_model.postgres_uri import InvalidUriError, PostgresUri
from orderflow_runtime.postgres.connection_failures import without_identity
from orderflow_runtime.postgres.migration_failures import MigrationFailedError
from orderflow_runtime.postgres.migration_folder import migration_folder
from orderflow_runtime.postgres.migrator import Task, carry_out
from orderflow_runtime.postgres.ownership import Role

logger = logging.getLogger(__name__)


def tasks(env: Mapping[str, str]) -> list[Task]:
    """Read the services to migrate, each with its password and where its files are.

    An operator older than this names neither owner nor folders.
    """
    given = json.loads(Path(env[environment.MIGRATION]).read_text())
    passwords, folders = Path(env[environment.PASSWORDS]), given.get("migrations", {})
    return [
        Task(
            Role(given["flow"], name, (passwords / name).read_text(), given.get("owner")),
            migration_folder(name, command, folders.get(name)),
        )
        for name, command in given["services"].items()
    ]


def main() -> None:
    """Run, and end with one line that says what is wrong: it becomes the pod's last words."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    admin_uri = os.environ.get(environment.DATABASE_URL, "")
    try:
        todo = tasks(os.environ)
        asyncio.run(carry_out(admin_uri, todo))
        logger.info("migrated %s", ", ".join(task.role.service for task in todo))
    except InvalidUriError as error:
        sys.exit(f"migration failed: {environment.DATABASE_URL}: {error}")
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        sys.exit(f"migration failed: Postgres: {without_identity(str(error), PostgresUri.parse(admin_uri))}")
    except KeyError as error:
        sys.exit(f"migration failed: {error} is missing")
    except (OSError, ValueError, MigrationFailedError) as error:
        sys.exit(f"migration failed: {error}")


if __name__ == "__main__":
    main()
