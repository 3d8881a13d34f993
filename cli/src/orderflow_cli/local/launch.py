"""How a service's command can be run on this machine: as a process, else by docker, else not at all."""

import csv
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from pathlib import Path

from orderflow_cli.errors import CannotRunHereError
from orderflow_model.environment import CONFIG, CONFIG_PATH_IN_POD
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


def command(service: Service, container: str, config: Path, variables: Iterable[str]) -> Command:
    """Return the command of a service that was checked.

    `variables` are the names that docker passes on from the process's environment into the container.
    """
    if _obstacle(service.command) is None:
        python = service.command[0] in _PYTHON  # this one: it has what the flow needs
        return Command([sys.executable, *service.command[1:]] if python else list(service.command))
    return Command(_docker_run(service, container, config, variables), ["docker", "rm", "-f", container])


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


def _docker_run(service: Service, container: str, config: Path, variables: Iterable[str]) -> list[str]:
    passed = [part for name in variables if name != CONFIG for part in ("--env", name)]
    mount = ["--mount", _mount(config), "--env", f"{CONFIG}={CONFIG_PATH_IN_POD}"]
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
