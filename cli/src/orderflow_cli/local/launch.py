"""How a service's command can be run on this machine: in a process, else by docker, else not at all."""

import ast
import csv
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from orderflow_cli.errors import CannotRunHereError
from orderflow_model.environment import CONFIG, CONFIG_PATH_IN_POD
from orderflow_model.placement import module_of
from orderflow_model.spec.services import Service

_PYTHON = ("python", "python3")


@dataclass(frozen=True)
class Command:
    """What to execute, and what to execute before it to remove a former one that a crash left over."""

    argv: Sequence[str]
    clear: Sequence[str] = field(default=())


def check(service: Service) -> None:
    """Raise `CannotRunHereError`, with the reason and the way out, for a service that cannot be run at all."""
    reason = _obstacle(service.command)
    if reason is not None and not _docker_works():
        raise CannotRunHereError(
            f"service {service.name} cannot run here: {reason}, and docker does not answer",
            f"Install what it needs, or start docker to run its image {service.image}",
        )


def command(service: Service, container: str, config: Path | None, variables: Iterable[str]) -> Command:
    """Return the command of a service that was checked; a program that is handed its events reads no `config`.

    `variables` are the names that docker passes on from the process's environment into the container.
    """
    if _obstacle(service.command) is None:
        python = service.command[0] in _PYTHON  # this one: it has what the flow needs
        return Command([sys.executable, *service.command[1:]] if python else list(service.command))
    return Command(_docker_run(service, container, config, variables), ["docker", "rm", "-f", container])


def can_share(service: Service) -> bool:
    """Return whether a service can share a process: its module has a `build`. Nothing of it is imported."""
    module = module_of(service)
    file = _file_run_by(module) if module else None
    try:
        tree = ast.parse(file.read_bytes()) if file else None
    except (OSError, SyntaxError, ValueError):
        return False
    return tree is not None and any("build" in _names_of(statement) for statement in tree.body)


def shared_command(services: Iterable[Service]) -> Command:
    """Return the command of a process of several services, each of which can share one."""
    named = [f"{service.name}={module_of(service)}" for service in services]
    return Command([sys.executable, "-m", "orderflow_runtime.shared_process", *named])


def _file_run_by(module: str) -> Path | None:
    """Return the file that `python -m` runs: a package's is its __main__."""
    places: Iterable[str] = [os.getcwd(), *sys.path]
    spec: ModuleSpec | None = None
    for part in module.split("."):
        spec = PathFinder.find_spec(part, list(places))
        if spec is None:
            return None
        places = spec.submodule_search_locations or ()
    found = [Path(folder) / "__main__.py" for folder in places] or ([Path(spec.origin)] if spec and spec.origin else [])
    return found[0] if found else None


def _names_of(statement: ast.stmt) -> list[str]:
    """Return the names that a statement of a module gives to something."""
    match statement:
        case ast.FunctionDef(name=name):
            return [name]
        case ast.ImportFrom(names=names):
            return [alias.asname or alias.name for alias in names]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
    return []


def _obstacle(argv: Sequence[str]) -> str | None:
    """Return why the command cannot be run as a process, or None when it can."""
    if not argv:
        return "it names no command, only an image"
    if argv[0] in _PYTHON:
        return None if argv[1:2] != ("-m",) or _is_module(argv[2]) else f"there is no module {argv[2]}"
    return None if shutil.which(argv[0]) else f"there is no program {argv[0]}"


def _is_module(name: str) -> bool:
    """Return whether Python finds the top of the module; a service's process also looks in the current folder."""
    return PathFinder.find_spec(name.partition(".")[0], [os.getcwd(), *sys.path]) is not None


def _docker_works() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        return subprocess.run([docker, "info"], capture_output=True, timeout=10, check=False).returncode == 0  # noqa: S603 - the docker that PATH has
    except subprocess.TimeoutExpired:
        return False


def _docker_run(service: Service, container: str, config: Path | None, variables: Iterable[str]) -> list[str]:
    passed = [part for name in variables if name != CONFIG for part in ("--env", name)]
    mount = ["--mount", _mount(config), "--env", f"{CONFIG}={CONFIG_PATH_IN_POD}"] if config else []
    options = ["--rm", "--init", "--network", "host", "--name", container, *mount, *passed]
    entrypoint = ["--entrypoint", service.command[0]] if service.command else []
    return ["docker", "run", *options, *entrypoint, service.image, *service.command[1:]]


def _mount(config: Path) -> str:
    """Return docker's words for a file to be seen in the container: a line of CSV, whatever the path has in it."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(
        ["type=bind", f"source={config}", f"target={CONFIG_PATH_IN_POD}", "readonly"]
    )
    return line.getvalue()
