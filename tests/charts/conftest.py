"""What the tests of the charts share.

`helm`      without a cluster, of each major version in turn
`newest_helm`   the last of them alone, for what takes long and where it makes no difference
`plane`     a real API server with the CRDs that the charts write for, where it was compiled before
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cluster.controlplane import ControlPlane
from support.cluster.crd_install import install
from support.cluster.crds import certificate_crds, keda_crds, prometheus_crds, strimzi_crds
from support.cluster.helm import MAJORS, Helm
from support.tools.go_tools import compiled_control_plane


@pytest.fixture(scope="session", params=MAJORS, ids="Helm {}".format)
def helm(request: pytest.FixtureRequest, scratch: Path) -> Helm:
    """Helm without a cluster."""
    return Helm(scratch, request.param)


@pytest.fixture(scope="session")
def newest_helm(scratch: Path) -> Helm:
    """Helm of the newest major version, without a cluster."""
    return Helm(scratch, MAJORS[-1])


@pytest.fixture(scope="session")
def bare_plane(scratch: Path) -> Iterator[ControlPlane]:
    """Etcd and an API server that knows Kubernetes' own kinds; objects are stored, nothing comes of them."""
    programs = compiled_control_plane()
    if programs is None:
        pytest.skip("no API server: `make test-controlplane` compiles it; checked by the kinds' models alone")
    plane = ControlPlane(programs, scratch / "plane")
    plane.start(controllers=False)
    yield plane
    plane.stop()


@pytest.fixture(scope="session")
def plane(bare_plane: ControlPlane) -> ControlPlane:
    """The same with all CRDs that the charts and the operator write for, but OrderFlow's, which the chart brings."""
    others = [*strimzi_crds(), *keda_crds(), *prometheus_crds(), *certificate_crds()]
    asyncio.run(install(bare_plane, others))
    return bare_plane
