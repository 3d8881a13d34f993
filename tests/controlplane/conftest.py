"""The control plane of this tier, started once per session: a real API server, nothing of it faked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.controlplane import ControlPlane
from support.go_tools import control_plane_programs


@pytest.fixture(scope="session")
def control_plane(scratch: Path) -> Iterator[ControlPlane]:
    """Etcd, API server and controller manager; `kubeconfig` is of an administrator."""
    plane = ControlPlane(control_plane_programs(), scratch / "controlplane")
    plane.start()
    yield plane
    plane.stop()
