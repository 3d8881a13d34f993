"""Migrations where others are too: another flow's schemas and roles are left alone, every right is given by name."""

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from orderflow_cli.servers.postgres import Postgres, create_database, drop_database
from orderflow_model import environment
from orderflow_model.postgres_uri import PostgresUri
from orderflow_runtime.core.event_log import Partition
from orderflow_runtime.postgres.migration_failures import (
    LeftBehindError,
    MigrationRefusedError,
    NotGrantedError,
    OwnedElsewhereError,
)
from orderflow_runtime.postgres.migrator import Task, carry_out, migrate
from orderflow_runtime.postgres.ownership import Role
from orderflow_runtime.postgres.postgres_store import PostgresStore
from support.flow.fleet import PASSWORD
from support.runtime.real import sample_flow
from support.tools.names import unique_name

PASSWORDS = dict.fromkeys(("sample", "source"), PASSWORD)


@asynccontextmanager
async def connected(uri: str) -> AsyncIterator[asyncpg.Connection]:
    """Give a connection."""
    connection = await asyncpg.connect(uri)
    yield connection
    await connection.close()


async def made(uri: str, stem: str) -> tuple[set[str], set[str]]:
    """Give the roles whose names begin so, and the schemas that services could have."""
    async with connected(uri) as connection:
        roles = await connection.fetch("SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1)", stem)
        schemas = await connection.fetch(
            "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_|public)'"
        )
    return {row[0] for row in roles}, {row[0] for row in schemas}


def task(flow: str, service: str, owner: str | None, folder: Path | None = None) -> Task:
    """Give a service's migration, as a cluster's."""
    return Task(Role(flow, service, PASSWORD, owner), folder)


def own_uri(admin: str, flow: str, service: str) -> str:
    """Give the URI of a service's role."""
    return PostgresUri.parse(admin).for_role(f"{flow}_{service}", PASSWORD).render()


async def test_a_second_flow_with_a_like_named_service_is_refused_whole(database: str) -> None:
    """It is told whose the schema is and the way round; nothing of it is made, not even its other services."""
    first, second = unique_name("f"), unique_name("f")
    await carry_out(database, [task(first, "sample", f"a/{first}")])
    with pytest.raises(
        OwnedElsewhereError, match=f"schema sample belongs to flow a/{first}, not to b/{second}: .* database"
    ):
        await carry_out(database, [task(second, "before", f"b/{second}"), task(second, "sample", f"b/{second}")])
    assert await made(database, second) == (set(), {"sample"})
    await carry_out(database, [task(first, "sample", f"a/{first}")])


async def test_flows_of_one_name_in_two_namespaces_do_not_take_each_others_roles(postgres: Postgres) -> None:
    """Roles are the whole server's: in a database of its own the second flow still changes no password of the first."""
    flow, names = unique_name("f"), [unique_name("db"), unique_name("db")]
    for name in names:
        await create_database(postgres.admin_url(), name)
    one, other = map(postgres.admin_url, names)
    await carry_out(one, [task(flow, "sample", f"a/{flow}")])
    with pytest.raises(
        OwnedElsewhereError, match=f"role {flow}_sample belongs to flow a/{flow}, not to b/{flow}: .* name"
    ):
        await carry_out(other, [Task(Role(flow, "sample", "another", f"b/{flow}"), None)])
    assert (await made(other, flow))[1] == set()
    async with connected(own_uri(one, flow, "sample")):
        pass
    for name in names:
        await drop_database(postgres.admin_url(), name)


async def test_what_was_made_before_there_were_owners_is_marked_for_its_own_flow(database: str) -> None:
    """A schema without a mark is the flow's whose role uses it, and no other's, even if that comes first."""
    first, second = unique_name("f"), unique_name("f")
    await carry_out(database, [task(first, "sample", None)])
    with pytest.raises(OwnedElsewhereError, match=f"schema sample belongs to flow of role {first}_sample"):
        await carry_out(database, [task(second, "sample", f"b/{second}")])
    await carry_out(database, [task(first, "sample", f"a/{first}")])
    with pytest.raises(OwnedElsewhereError, match=f"belongs to flow a/{first}"):
        await carry_out(database, [task(second, "sample", f"b/{second}")])


async def test_a_service_that_has_data_elsewhere_does_not_begin_anew(postgres: Postgres) -> None:
    """Nothing is made; a copy of its schema, or an empty one that is marked as the sentence says, lets it go on."""
    flow, names = unique_name("f"), [unique_name("db"), unique_name("db")]
    for name in names:
        await create_database(postgres.admin_url(), name)
    one, other = map(postgres.admin_url, names)
    wanted = task(flow, "order", f"a/{flow}")
    await carry_out(one, [wanted])
    await carry_out(one, [replace(wanted, moved=True)])
    with pytest.raises(LeftBehindError, match="schema order is not in this database") as refused:
        await carry_out(other, [replace(wanted, moved=True)])
    assert (await made(other, flow))[1] == set()
    async with connected(other) as root:
        await root.execute(str(refused.value).partition("to begin with nothing, ")[2])
    await carry_out(other, [replace(wanted, moved=True)])
    for name in names:
        await drop_database(postgres.admin_url(), name)


async def test_a_role_that_somebody_else_made_is_not_taken(database: str, flow_name: str) -> None:
    """Its password stays, and the sentence that refuses says how to give it to the flow."""
    role = f"{flow_name}_sample"
    async with connected(database) as root:
        await root.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'theirs'")
        try:
            with pytest.raises(OwnedElsewhereError, match=f"role {role} is there, and nothing says") as refused:
                await carry_out(database, [task(flow_name, "sample", f"a/{flow_name}")])
            assert (await made(database, flow_name))[1] == set()
            theirs = PostgresUri.parse(database).for_role(role, "theirs").render()
            async with connected(theirs):
                pass
            await root.execute(str(refused.value).rpartition("this flow, ")[2].removesuffix(" makes it so"))
            await carry_out(database, [task(flow_name, "sample", f"a/{flow_name}")])
        finally:
            await root.execute(f"DROP SCHEMA IF EXISTS sample CASCADE; DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_schema_with_somebodys_tables_is_not_taken(database: str, flow_name: str) -> None:
    """Nothing is made beside them; an empty one, which an admin may have prepared, is used."""
    async with connected(database) as root:
        await root.execute("CREATE SCHEMA sample; CREATE TABLE sample.theirs (a int)")
        with pytest.raises(OwnedElsewhereError, match="schema sample is there, and nothing says"):
            await carry_out(database, [task(flow_name, "sample", f"a/{flow_name}")])
        await root.execute("DROP TABLE sample.theirs")
        await carry_out(database, [task(flow_name, "sample", f"a/{flow_name}")])


async def test_a_flow_of_this_machine_is_its_own_at_a_second_start(database: str, flow_name: str) -> None:
    """The same flow migrates as often as it starts, and another that has its services does not."""
    for _ in range(2):
        await migrate(database, sample_flow(flow_name), PASSWORDS)
    with pytest.raises(OwnedElsewhereError, match=f"belongs to flow {flow_name}, not to"):
        await migrate(database, sample_flow(unique_name("f")), PASSWORDS)


@pytest.fixture(params=["owner", "grantee", "guest"])
async def hosted(request: pytest.FixtureRequest, postgres: Postgres) -> AsyncIterator[tuple[str, str]]:
    """An admin as hosted Postgres gives them, no superuser, on a database that gives PUBLIC nothing.

    The admin owns the database, or may create in it and let others in, or only create in it.
    """
    name, admin = unique_name("db"), unique_name("adm1n")
    await create_database(postgres.admin_url(), name)
    async with connected(postgres.admin_url(name)) as root:
        await root.execute(
            f"CREATE ROLE {admin} LOGIN CREATEROLE PASSWORD 'it''s'; REVOKE ALL ON SCHEMA public FROM PUBLIC"
        )
        await root.execute(
            f"REVOKE ALL ON DATABASE {name} FROM PUBLIC; GRANT CONNECT, CREATE ON DATABASE {name} TO {admin}"
        )
        if request.param == "owner":
            await root.execute(f"ALTER DATABASE {name} OWNER TO {admin}")
        if request.param == "grantee":
            await root.execute(f"GRANT CONNECT ON DATABASE {name} TO {admin} WITH GRANT OPTION")
        await root.execute(f"ALTER DEFAULT PRIVILEGES FOR ROLE {admin} REVOKE ALL ON ROUTINES FROM PUBLIC")
    yield PostgresUri.parse(postgres.admin_url(name)).for_role(admin, "it's").render(), request.param
    await drop_database(postgres.admin_url(), name)


async def test_services_work_where_public_may_do_nothing(hosted: tuple[str, str], flow_name: str) -> None:
    """An admin who is no superuser makes all of it, twice; a service may connect and call its functions by name."""
    admin, right = hosted
    todo = [task(flow_name, "sample", f"a/{flow_name}")]
    if right == "guest":
        with pytest.raises(NotGrantedError, match=f'has to run GRANT CONNECT ON DATABASE .* TO "{flow_name}_sample"'):
            await carry_out(admin, todo)
        assert await made(admin, flow_name) == (set(), set())
        return
    for _ in range(2):
        await carry_out(admin, todo)
    store = PostgresStore(own_uri(admin, flow_name, "sample"), "sample")
    await store.start()
    await store.rotate_inbox(7)
    assert await store.acquire([Partition("t", 0)], "me")
    await store.stop()


async def test_a_file_that_postgres_refuses_is_named_with_its_line(database: str, tmp_path: Path) -> None:
    """A mistake in a service's own SQL is told at its place, and leaves nothing of the service."""
    (tmp_path / "0001_good.sql").write_text("CREATE TABLE a (b int);")
    (tmp_path / "0002_bad.sql").write_text("CREATE TABLE c (d int);\n\nSELECT nothing FROM c;")
    flow = unique_name("f")
    with pytest.raises(MigrationRefusedError, match=r'0002_bad\.sql, line 3: column "nothing" does not exist'):
        await carry_out(database, [task(flow, "sample", f"a/{flow}", tmp_path)])
    assert await made(database, flow) == (set(), set())


def job(folder: Path, uri: str, todo: Mapping[str, Any]) -> tuple[int, str]:
    """Run the cluster's migration in a working folder; give its exit code and last words."""
    (folder / "passwords").mkdir(exist_ok=True)
    for service in todo["services"]:
        (folder / "passwords" / service).write_text(PASSWORD)
    (folder / "task.json").write_text(json.dumps(todo))
    env = {
        environment.DATABASE_URL: uri,
        environment.MIGRATION: str(folder / "task.json"),
        environment.PASSWORDS: str(folder / "passwords"),
    }
    command = [sys.executable, "-m", "orderflow_runtime.migrate"]
    done = subprocess.run(command, cwd=folder, env=os.environ | env, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr.strip().splitlines()[-1]


async def test_the_job_finds_what_stands_in_the_services_working_folder(database: str, tmp_path: Path) -> None:
    """A module of the image's working folder brings its tables, and a folder that is named brings its own."""
    flow = unique_name("f")
    for place in ("svc/migrations", "sql"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "0001_mine.sql").write_text("CREATE TABLE mine (a int);")
    (tmp_path / "svc" / "__main__.py").write_text("")
    services = {"here": ["python", "-m", "svc"], "there": ["node", "x.js"], "none": ["node", "y.js"]}
    said = {"there": "sql", "none": "None"}
    todo = {"flow": flow, "owner": f"a/{flow}", "services": services, "migrations": said}
    code, words = job(tmp_path, database, todo)
    assert (code, words) == (0, "migrated here, there, none")
    async with connected(database) as connection:
        rows = await connection.fetch("SELECT schemaname FROM pg_tables WHERE tablename = 'mine' ORDER BY 1")
    assert [row[0] for row in rows] == ["here", "there"]


@pytest.mark.parametrize(
    ("uri", "services", "code", "words"),
    [
        ("{}", {"x": ["python", "-m", "nowhere"]}, 1, "service x: there is no module nowhere here"),
        ("postgresql://adm1n:s3cret@{host}/postgres", {}, 1, "refuses the user or the password"),
        ("postgresql://adm1n:s3cret@127.0.0.1:1/x", {}, 1, "nothing listens there"),
        ("postgresql://adm1n:s3cret@127.0.0.1/x?serv=s3cret", {}, 78, "ORDERFLOW_DATABASE_URL: .* does not know"),
    ],
)
def test_the_jobs_last_words_are_one_sentence(
    database: str, tmp_path: Path, uri: str, services: dict[str, list[str]], code: int, words: str
) -> None:
    """It ends with what is wrong, and tells nobody who the admin is."""
    host = str(PostgresUri.parse(database).hosts[0])
    todo = {"flow": unique_name("f"), "owner": "a/b", "services": services}
    ended, said = job(tmp_path, uri.format(database, host=host), todo)
    assert ended == code
    assert said.startswith("migration failed: ")
    assert re.search(words, said)
    assert not [secret for secret in ("adm1n", "s3cret") if secret in said]
