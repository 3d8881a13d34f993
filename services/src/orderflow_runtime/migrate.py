"""The migration job of a cluster: `python -m orderflow_runtime.migrate`, one container per image.

ORDERFLOW_MIGRATION names a JSON file `{"flow": ..., "services": {service: command}}`, ORDERFLOW_PASSWORDS a folder with
a file per service, ORDERFLOW_DATABASE_URL is the admin's. On a laptop `orderflow run` does the same by itself.
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
from orderflow_runtime.migrations import MigrationChanged, Role, migrate_service

logger = logging.getLogger(__name__)


def tasks(env: Mapping[str, str]) -> list[tuple[Role, list[str]]]:
    """Read the services to migrate, each with its password and its command."""
    task = json.loads(Path(env[environment.MIGRATION]).read_text())
    passwords = Path(env[environment.PASSWORDS])
    services = task["services"].items()
    return [(Role(task["flow"], name, (passwords / name).read_text()), command) for name, command in services]


async def run(admin_dsn: str, todo: list[tuple[Role, list[str]]]) -> None:
    """Migrate the services, one after the other."""
    connection = await asyncpg.connect(admin_dsn)
    try:
        for role, command in todo:
            await migrate_service(connection, role, command)
            logger.info("migrated %s", role.service)
    finally:
        await connection.close()


def main() -> None:
    """Run, and end with one line that says what is wrong: it becomes the pod's last words."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        asyncio.run(run(os.environ[environment.DATABASE_URL], tasks(os.environ)))
    except (KeyError, OSError, ValueError, MigrationChanged, asyncpg.PostgresError) as error:
        sys.exit(f"migration failed: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
