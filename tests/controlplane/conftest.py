"""The control plane of this tier, started once for all workers: a real API server, nothing of it faked.

`api`         an administrator's client of it
`namespace`   a namespace of the test's own, under Pod Security `restricted`
`env`         doubles of nodes and Strimzi at work there, and an operator that the test starts
`ready`       the same with the small flow, ready
`lasting`     the same at work, for all tests of a module that leave the flow as it was
`author`      a person who may only write OrderFlows there, with that operator at work
`kubectl`     the real one, as an administrator
"""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from support.cluster.api import Api
from support.cluster.author import Author, author_of
from support.cluster.controlplane import ControlPlane
from support.cluster.crd_install import install, our_crds
from support.cluster.crds import keda_crds, prometheus_crds, strimzi_crds
from support.cluster.operator_env import OperatorEnv, new_env, new_namespace, operator_of
from support.cluster.operator_process import make_account
from support.flow.flows import pair
from support.tools.go_tools import control_plane_programs
from support.tools.names import unique_name
from support.tools.scratch import scratch_directory

SHARED = pytest.StashKey[tuple[str, ...]]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Compile and generate what is not cached yet: on a new machine that takes longer than any one test may."""
    if session.items and not session.config.option.collectonly:
        with suppress(pytest.skip.Exception, pytest.fail.Exception):  # the tests that need it say so themselves
            control_plane_programs()
            for crds in (strimzi_crds, keda_crds, prometheus_crds):
                crds()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Start the control plane of all workers, in the process that starts them and outlives each."""
    config: pytest.Config = node.config
    if SHARED not in config.stash:
        config.stash[SHARED] = ()
        with suppress(pytest.skip.Exception, pytest.fail.Exception):  # as above
            config.stash[SHARED] = started_until_the_end(config)
    node.workerinput["control plane"] = config.stash[SHARED]


def started_until_the_end(config: pytest.Config) -> tuple[str, ...]:
    """Start a control plane that is stopped when the run ends; return its words."""
    with ExitStack() as stack:
        words = stack.enter_context(serving(stack.enter_context(scratch_directory()))).words()
        config.add_cleanup(stack.pop_all().close)
    return words


@contextmanager
def serving(folder: Path) -> Iterator[ControlPlane]:
    """Run etcd, API server and controller manager, with our CRD, Strimzi's, KEDA's and the Prometheus operator's."""
    plane = ControlPlane(control_plane_programs(), folder / "controlplane")
    plane.start()
    try:
        asyncio.run(install(plane, [*our_crds(), *strimzi_crds(), *keda_crds(), *prometheus_crds()]))
        yield plane
    finally:
        plane.stop()


@pytest.fixture(scope="session")
def served(pytestconfig: pytest.Config, scratch: Path) -> Iterator[ControlPlane]:
    """Give the control plane: that of all workers where there are some; `kubeconfig` is of an administrator."""
    if words := getattr(pytestconfig, "workerinput", {}).get("control plane"):
        yield ControlPlane.of(words)
        return
    with serving(scratch) as plane:
        yield plane


@pytest.fixture
def private_plane(scratch: Path) -> Iterator[ControlPlane]:
    """A control plane whose CRDs the test may take away; ours and Strimzi's are there."""
    plane = ControlPlane(control_plane_programs(), scratch / unique_name("plane"))
    plane.start()
    asyncio.run(install(plane, [*our_crds(), *strimzi_crds()]))
    yield plane
    plane.stop()


@pytest.fixture
async def api(served: ControlPlane) -> AsyncIterator[Api]:
    """An administrator's client."""
    async with Api(served.url, served.token) as client:
        yield client


@pytest.fixture
async def namespace(api: Api) -> AsyncIterator[str]:
    """A namespace of the test's own."""
    async with new_namespace(api, unique_name("ns")) as name:
        yield name


@pytest.fixture
async def env(api: Api, namespace: str, served: ControlPlane, scratch: Path) -> AsyncIterator[OperatorEnv]:
    """Doubles at work, and an operator of this namespace, not started."""
    token = await make_account(api, namespace)
    async with OperatorEnv(api, namespace, operator_of(served, namespace, token, scratch), served).open() as made:
        yield made


@pytest.fixture
async def ready(env: OperatorEnv) -> OperatorEnv:
    """The small flow, ready."""
    await env.start()
    await env.apply(pair())
    await env.until_ready("pair")
    return env


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting(served: ControlPlane) -> AsyncIterator[OperatorEnv]:
    """An operator at work, for the tests of a module that leave a flow as they found it.

    They run in the module's event loop: `pytest.mark.asyncio(loop_scope="module")`.
    """
    async with new_env(served) as made:
        await made.start()
        yield made


@pytest.fixture
async def author(env: OperatorEnv, served: ControlPlane) -> AsyncIterator[Author]:
    """A person who may only write OrderFlows, in a namespace where an operator is at work."""
    await env.start()
    async with author_of(env, served) as person:
        yield person


@pytest.fixture
def kubectl(served: ControlPlane) -> Callable[..., Awaitable[str]]:
    """Runs kubectl and gives what it said; the test is skipped where there is none."""

    async def run(*arguments: str) -> str:
        command = ["kubectl", f"--kubeconfig={served.kubeconfig}", *arguments]
        try:
            done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=90)
        except FileNotFoundError:
            pytest.skip("no kubectl")
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    return run
