"""The public face, `orderflow_runtime`: what an author imports is there, says what it takes, and its examples run."""

import ast
import doctest
import importlib
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

import orderflow_runtime
from orderflow_runtime import testing
from orderflow_runtime.core.event_log import Consumer, Producer
from orderflow_runtime.core.store import Store
from support.tools.pages import code_blocks

CLIENTS = ("aiokafka", "asyncpg", "uvicorn", "uvloop", "prometheus_client", "orderflow_runtime.app")


def homes(face: str) -> dict[str, str]:
    """Give the module from which a face has each of its names."""
    tree = ast.parse(Path(importlib.import_module(face).__file__ or "").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module or "" for node in imports for alias in node.names}


def documentation(face: str, name: str) -> str:
    """Give a name's docstring; an alias has it in the line below."""
    found = getattr(importlib.import_module(face), name)
    if isinstance(found, (type, FunctionType)):
        return inspect.getdoc(found) or ""
    module = importlib.import_module(homes(face)[name])
    body = ast.parse(inspect.getsource(module)).body
    for statement, after in pairwise(body):
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
            return str(ast.literal_eval(after.value)) if isinstance(after, ast.Expr) else ""
    return ""


def takers(found: Any) -> Iterator[tuple[Callable[..., Any], str]]:
    """Give what has arguments of its own, with its docstring: a function, a data class, and public methods."""
    if isinstance(found, FunctionType):
        yield found, inspect.getdoc(found) or ""
    elif isinstance(found, type):
        if hasattr(found, "__dataclass_fields__"):
            yield found, inspect.getdoc(found) or ""
        for name, member in vars(found).items():
            if not name.startswith("_") and name not in PORTS and isinstance(member, (FunctionType, classmethod)):
                yield getattr(found, name), inspect.getdoc(member) or ""


IMPORTS = """
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar

from pydantic import Field

from orderflow_contracts.event import PERSONAL, Upcaster
import asyncio

from orderflow_runtime import *
from orderflow_runtime.core.event_log import Message
from orderflow_runtime.testing import *
"""
FACES = [
    *(("orderflow_runtime", name) for name in orderflow_runtime.__all__),
    *(("orderflow_runtime.testing", name) for name in testing.__all__),
]
PORTS = vars(Consumer) | vars(Producer) | vars(Store)
"""Their methods are described once, at the port."""


def namespace() -> dict[str, Any]:
    """Give the names that the examples go on from: what an author imports, and the page's service."""
    names: dict[str, Any] = {"__name__": "page"}
    service, *_, command = code_blocks("docs/services.md")
    exec(IMPORTS + service + command, names)  # noqa: S102 - the page's own code
    return names


@pytest.mark.parametrize(("face", "name"), FACES)
def test_each_name_has_an_example_and_it_runs(face: str, name: str) -> None:
    """Whoever looks a name up sees it in use, in code that does what it shows."""
    examples = doctest.DocTestParser().get_doctest(documentation(face, name), namespace(), name, None, 0)
    assert examples.examples, f"{face}.{name} shows no example"
    told: list[str] = []
    assert doctest.DocTestRunner().run(examples, out=told.append).failed == 0, "".join(told)


@pytest.mark.parametrize(("face", "name"), FACES)
def test_each_argument_is_described(face: str, name: str) -> None:
    """What a name takes stands in its docstring, argument by argument."""
    for taker, text in takers(getattr(importlib.import_module(face), name)):
        missing = [arg for arg in inspect.signature(taker).parameters if arg != "self" and f"\n    {arg}: " not in text]
        assert not missing, f"{taker.__qualname__} does not describe {missing}"


def test_the_readme_adds_a_service() -> None:
    """The service that the README adds is one, as it stands there."""
    names: dict[str, Any] = {"__name__": "orderflow_loyalty"}
    exec(code_blocks("README.md")[0], names)  # noqa: S102 - the page's own code
    service = names["build"](None)
    assert [event.TYPE for event in service.handlers] == ["ORDER_COMPLETED"]


def test_handlers_and_their_tests_do_without_the_clients_of_kafka_and_postgres() -> None:
    """Importing the face, and all of it but `main`, brings no client and no server."""
    names = ", ".join(name for name in orderflow_runtime.__all__ if name != "main")
    script = f"import sys; from orderflow_runtime import {names}; print(*[m for m in {CLIENTS} if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.split() == []


def test_main_comes_when_it_is_asked_for_and_nothing_else_does() -> None:
    """The one name that is imported late is there by every way of importing; a wrong name says so."""
    script = "from orderflow_runtime import *; print(main.__module__)"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "orderflow_runtime.app"
    with pytest.raises(ImportError, match="cannot import name 'mian'"):
        exec("from orderflow_runtime import mian", {})  # noqa: S102 - an author's slip
