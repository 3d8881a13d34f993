"""Puts CRDs on the tests' API server; the tests and the operator's bench use it."""

from pathlib import Path

import yaml

from support.cluster.api import Api, ApiError, Json
from support.cluster.controlplane import ControlPlane
from support.flow.fleet import until

_OURS = Path(__file__).parents[3] / "manifests" / "crds"


def our_crds() -> list[Path]:
    """Give the CRD of OrderFlow."""
    return sorted(_OURS.glob("*.yaml"))


async def install(plane: ControlPlane, files: list[Path]) -> None:
    """Apply CRDs and wait until they are served."""
    async with Api(plane.url, plane.token) as client:
        for file in files:
            crd = yaml.safe_load(file.read_text())
            crd.pop("status", None)
            crd["metadata"].pop("creationTimestamp", None)
            await client.apply(crd)
            await until(lambda crd=crd: _is_served(client, crd), f"CRD {crd['metadata']['name']} is served", 60)


async def _is_served(client: Api, crd: Json) -> bool:
    """Whether its objects can be listed: right after its making the server asks to wait."""
    spec = crd["spec"]
    stored = next(version["name"] for version in spec["versions"] if version["storage"])
    try:
        await client.call("GET", f"/apis/{spec['group']}/{stored}/{spec['names']['plural']}", limit="1")
    except ApiError as error:
        if error.status in (404, 429):
            return False
        raise
    return True
