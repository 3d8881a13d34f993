"""The migration job of a cluster: `python -m orderflow_runtime.migrate`, one job per service and version.

ORDERFLOW_MIGRATION names a JSON file `{"flow": ..., "owner": NAMESPACE/FLOW, "services": {service: command},
"migrations": {service: folder, where the resource names it}, "moved": [service whose data was made in another
database], "readers": [service that may ask for people's keys], "console": who may read what the
others have stored}`, ORDERFLOW_PASSWORDS a folder with a file per service,
ORDERFLOW_DATABASE_URL is the admin's. On a laptop `orderflow run` does the same by itself.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from orderflow_model import environment
from orderflow_runtime.database_job import read_json, run_job
from orderflow_runtime.postgres.migration_folder import migration_folder
from orderflow_runtime.postgres.migrator import Task, carry_out
from orderflow_runtime.postgres.ownership import Role
from orderflow_runtime.settings import MisconfiguredError, required


class Given(msgspec.Struct):
    """What ORDERFLOW_MIGRATION's file holds. An operator older than this names neither owner nor folders."""

    flow: str
    services: dict[str, list[str]]
    owner: str | None = None
    migrations: dict[str, str] = {}
    moved: list[str] = []
    readers: list[str] = []
    console: str | None = None


def tasks(env: Mapping[str, str]) -> list[Task]:
    """Read the services to migrate, each with its password and where its files are; raise `MisconfiguredError`."""
    path, passwords = Path(required(env, environment.MIGRATION)), Path(required(env, environment.PASSWORDS))
    given = read_json(environment.MIGRATION, _read(environment.MIGRATION, path), Given)
    return [
        Task(
            Role(given.flow, name, _read(environment.PASSWORDS, passwords / name), given.owner),
            migration_folder(name, command, given.migrations.get(name)),
            moved=name in given.moved,
            reads_people=name in given.readers,
            console=given.console,
        )
        for name, command in given.services.items()
    ]


def _read(variable: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise MisconfiguredError(f"{variable}: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise MisconfiguredError(f"{variable}: {path} is not UTF-8") from None


async def migrate(admin_uri: str) -> str:
    """Migrate what the environment names; return what was done."""
    todo = tasks(os.environ)
    await carry_out(admin_uri, todo)
    return f"migrated {', '.join(task.role.service for task in todo)}"


if __name__ == "__main__":
    run_job("migration", migrate)
