"""Finds a service's own SQL files: where its resource says they are, else beside the module or script that it runs.

"It has none" and "it cannot be told" are two things: the second is an error, or a service would start on tables that
nobody has made. Nothing of the service is imported.
"""

import importlib.util
import os
import re
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from orderflow_model.spec.services import NO_MIGRATIONS
from orderflow_runtime.postgres.migration_failures import MigrationsNotFoundError

_PYTHON = re.compile(r"python([23](\.[0-9]+)?)?")
_VALUED = ("-W", "-X", "--check-hash-based-pycs")


def migration_folder(service: str, command: Sequence[str], declared: str | None) -> Path | None:
    """Return the folder, or None where the service has no migrations; raise `MigrationsNotFoundError`.

    `command` and a relative `declared` are meant from the working folder, which is the service's own.
    """
    if declared == NO_MIGRATIONS:
        return None
    if declared is not None:
        return _existing(Path(declared), service, f"its folder migrations: {declared} is not there")
    kind, name = _program(command)
    if kind == "module":
        return _beside(_module_folder(name), service, f"there is no module {name} here")
    if kind == "script":
        script = Path(name)
        return _beside(script.parent if script.exists() else None, service, f"there is no file {name} here")
    raise _not_found(service, "its command runs no Python module or file")


def _program(command: Sequence[str]) -> tuple[str, str]:
    """Return what a Python in the command runs, `module` or `script`, and its name; empty words for anything else."""
    words = iter(command)
    if not any(_PYTHON.fullmatch(Path(word).name) for word in words):  # goes on behind it
        return "", ""
    for word in words:
        if word in _VALUED:
            next(words, None)
        elif module := re.fullmatch(r"-[A-Za-z]*?m(.*)", word):
            return "module", module[1] or next(words, "")
        elif re.match(r"-[A-Za-z]*c", word) or word == "-":
            return "", ""
        elif not word.startswith("-"):
            return "script", word
    return "", ""


def _module_folder(name: str) -> Path | None:
    """Return the folder of what `python -m` runs, as that searches: in the working folder before all others."""
    spec = _spec(name) or _hooked_spec(name)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin).parent if spec.origin else None


def _spec(name: str) -> ModuleSpec | None:
    places, spec = [os.getcwd(), *sys.path], None
    for part in name.split("."):
        spec = PathFinder.find_spec(part, places)
        if spec is None:
            return None
        places = list(spec.submodule_search_locations or ())
    return spec


def _hooked_spec(name: str) -> ModuleSpec | None:
    """Return a module that only an import hook knows, as of an editable install."""
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None


def _beside(folder: Path | None, service: str, why: str) -> Path | None:
    if folder is None:
        raise _not_found(service, why)
    migrations = folder / "migrations"
    return migrations if migrations.is_dir() else None


def _existing(folder: Path, service: str, why: str) -> Path:
    if not folder.is_dir():
        raise _not_found(service, why)
    return folder


def _not_found(service: str, why: str) -> MigrationsNotFoundError:
    return MigrationsNotFoundError(
        f"service {service}: {why} ({os.getcwd()}), so its migrations cannot be found; say in the resource "
        f"where they are, migrations: FOLDER, or that there are none, migrations: {NO_MIGRATIONS}"
    )
