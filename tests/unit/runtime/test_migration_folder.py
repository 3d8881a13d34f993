"""Where a service's migrations are: found as the service's own Python finds its code, or asked for."""

from pathlib import Path

import pytest

from orderflow_runtime.postgres.migration_failures import MigrationsNotFoundError
from orderflow_runtime.postgres.migration_folder import migration_folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service's working folder, with a package, a package of packages and a script, each with migrations or none."""
    for place in ("svc", "team/pay", "scripts"):
        (tmp_path / place / "migrations").mkdir(parents=True)
    (tmp_path / "bare").mkdir()
    for file in ("svc/__init__.py", "svc/__main__.py", "svc/run.py", "team/pay/__main__.py", "scripts/go.py"):
        (tmp_path / file).write_text("raise SystemExit('nothing of a service is run to find its migrations')")
    (tmp_path / "bare" / "__init__.py").write_text("")
    (tmp_path / "alone.py").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("python -m svc", "svc"),
        ("python3.13 -m svc.run", "svc"),
        ("/venv/bin/python -u -W ignore -X dev -m svc --port 1", "svc"),
        ("python -um svc", "svc"),
        ("python -msvc", "svc"),
        ("tini -- python -m svc -m other", "svc"),
        ("python -m team.pay", "team/pay"),
        ("python scripts/go.py -m other", "scripts"),
        ("python -B ./scripts/go.py", "scripts"),
    ],
)
def test_migrations_are_beside_what_the_command_runs(folder: Path, command: str, found: str) -> None:
    """A module of the working folder is found whatever Python is told besides, and so is a file."""
    migrations = migration_folder("x", command.split(), None)
    assert migrations is not None
    assert migrations.resolve() == folder / found / "migrations"


@pytest.mark.parametrize("command", ["python -m bare", "python -m alone", "python alone.py", "python -m json.tool"])
def test_code_without_migrations_beside_it_has_none(folder: Path, command: str) -> None:
    """A module or file that is there, with no such folder beside it, is a service without migrations."""
    assert migration_folder("x", command.split(), None) is None


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("", "runs no Python module or file"),
        ("node server.js", "runs no Python module or file"),
        ("gunicorn svc:app", "runs no Python module or file"),
        ("python", "runs no Python module or file"),
        ("python -c pass", "runs no Python module or file"),
        ("python -", "runs no Python module or file"),
        ("python -m nowhere", "no module nowhere"),
        ("python -m svc.nowhere", "no module svc.nowhere"),
        ("python -m nowhere.at.all", "no module nowhere.at.all"),
        ("python nowhere.py", "no file nowhere.py"),
    ],
)
def test_what_cannot_be_told_is_no_none(folder: Path, command: str, why: str) -> None:
    """Where the command does not tell, or its code is not here, the service and both ways to say it are named."""
    with pytest.raises(MigrationsNotFoundError, match=rf"service x: .*{why} .*migrations: FOLDER.*migrations: None"):
        migration_folder("x", command.split(), None)


def test_what_the_resource_says_holds(folder: Path) -> None:
    """A folder that is named, or none, is taken for any command; one that is not there is an error."""
    assert migration_folder("x", ["node", "server.js"], "svc/migrations") == Path("svc/migrations")
    assert migration_folder("x", ["python", "-m", "svc"], "None") is None
    with pytest.raises(MigrationsNotFoundError, match="migrations: sql is not there"):
        migration_folder("x", ["node", "server.js"], "sql")
