"""The control plane of this tier, started once per session: a real API server, nothing of it faked.

`api`         an administrator's client of it
`namespace`   a namespace of the test's own, under Pod Security `restricted`
`env`         doubles of nodes and Strimzi at work there, and an operator that the test starts
`author`      a person who may only write OrderFlows there, with that operator at work
`kubectl`     the real one, as an administrator
"""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from support.cluster.api import Api
from support.cluster.author import Author, author_of
from support.cluster.controlplane import ControlPlane
from support.cluster.crd_install import install, our_crds
from support.cluster.crds import keda_crds, prometheus_crds, strimzi_crds
from support.cluster.operator_env import OperatorEnv, new_namespace, operator_of
from support.cluster.operator_process import make_account
from support.tools.go_tools import control_plane_programs
from support.tools.names import unique_name


def pytest_collection_finish(session: pytest.Session) -> None:
    """Compile and generate what is not cached yet: on a new machine that takes longer than any one test may."""
    if session.items and not session.config.option.collectonly:
        with suppress(pytest.skip.Exception, pytest.fail.Exception):  # the tests that need it say so themselves
            control_plane_programs()
            for crds in (strimzi_crds, keda_crds, prometheus_crds):
                crds()


@pytest.fixture(scope="session")
def control_plane(scratch: Path) -> Iterator[ControlPlane]:
    """Etcd, API server and controller manager; `kubeconfig` is of an administrator."""
    plane = ControlPlane(control_plane_programs(), scratch / "controlplane")
    plane.start()
    yield plane
    plane.stop()


@pytest.fixture(scope="session")
def served(control_plane: ControlPlane) -> ControlPlane:
    """The control plane with our CRD, Strimzi's, KEDA's and the Prometheus operator's."""
    asyncio.run(install(control_plane, [*our_crds(), *strimzi_crds(), *keda_crds(), *prometheus_crds()]))
    return control_plane


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
