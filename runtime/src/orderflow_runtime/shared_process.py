"""Several services in one process: `python -m orderflow_runtime.shared_process order=orderflow_order payment=…`.

A service is named with the module that `python -m` would run of it; the same `build` that this gives to `main` is taken
from there. Nothing of a service knows of the others: its variables are called after it (`environment.own_environment`).
"""

import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec

from orderflow_model import environment
from orderflow_runtime.app import Build, host_service, run_services
from orderflow_runtime.host import HostedService
from orderflow_runtime.kafka.handover import Handover
from orderflow_runtime.settings import MisconfiguredError


def main(services: Sequence[str]) -> None:
    """Run the services named as `NAME=MODULE`; raise `SystemExit` as a service's `main` does."""
    named = [service.partition("=") for service in services]
    if not all(name and module for name, _, module in named) or not named:
        sys.exit("orderflow: name each service with the module that it runs: order=orderflow_order")
    run_services([partial(_host, name, module) for name, _, module in named])


def _host(name: str, module: str, handover: Handover) -> HostedService:
    """Make a service as its own process would; raise `MisconfiguredError`, which names it."""
    try:
        return host_service(_find_build(module), environment.own_environment(name, os.environ), handover)
    except MisconfiguredError as error:
        raise MisconfiguredError(f"service {name}: {error}") from error


def _find_build(module: str) -> Build:
    try:
        build: Build = import_module(_runnable(module)).build
    except (ImportError, AttributeError) as error:
        raise MisconfiguredError(
            f"it cannot share a process: {error}; {module} needs a function build(settings), which it gives to main"
        ) from error
    except SystemExit:
        raise MisconfiguredError(
            f'it cannot share a process: {module} runs when imported; call main below `if __name__ == "__main__":`'
        ) from None
    return build


def _runnable(module: str) -> str:
    """Return the module that `python -m` runs: a package's is its __main__."""
    spec = find_spec(module)
    return f"{module}.__main__" if spec is not None and spec.submodule_search_locations is not None else module


if __name__ == "__main__":
    main(sys.argv[1:])
