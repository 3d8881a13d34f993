"""The migration job of a cluster: `python -m orderflow_runtime.migrate`, one job per service and version.

ORDERFLOW_MIGRATION names a JSON file `{"flow": ..., "owner": NAMESPACE/FLOW, "services": {service: command},
"migrations": {service: folder, where the resource names it}}`, ORDERFLOW_PASSWORDS a folder with a file per service,
ORDERFLOW_DATABASE_URL is the admin's. On a laptop `orderflow run` does the same by itself.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from orderflow_model import environment
from orderflow_runtime.database_job import run_job
from orderflow_runtime.postgres.migration_folder import migration_folder
from orderflow_runtime.postgres.migrator import Task, carry_out
from orderflow_runtime.postgres.ownership import Role


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


async def migrate(admin_uri: str) -> str:
    """Migrate what the environment names; return what was done."""
    todo = tasks(os.environ)
    await carry_out(admin_uri, todo)
    return f"migrated {', '.join(task.role.service for task in todo)}"


if __name__ == "__main__":
    run_job("migration", migrate)
