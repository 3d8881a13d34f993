"""Commands of people that ask a cluster, on a real API server."""

import asyncio
import json
from pathlib import Path

import yaml

from orderflow_cli.exit_codes import ExitCode
from support.cluster.controlplane import ControlPlane
from support.cluster.operator_env import OperatorEnv
from support.flow.cli_process import invoke
from support.flow.flows import changed, pair


async def test_a_plan_is_made_against_what_the_cluster_has(
    env: OperatorEnv, served: ControlPlane, tmp_path: Path
) -> None:
    """The same file changes nothing, a changed one what it changes, and a flow that is not there is said so."""
    await env.apply(pair())
    file = tmp_path / "flow.yaml"

    async def plan(flow: object, code: int = ExitCode.DONE) -> str:
        file.write_text(yaml.safe_dump(flow))
        told = ("plan", str(file), "--cluster", "--namespace", env.namespace, "--state", str(tmp_path), "-o", "json")
        done = await asyncio.to_thread(invoke, *told, env={"KUBECONFIG": str(served.kubeconfig)})
        assert done.returncode == code, done.stderr
        return done.stdout or done.stderr

    assert json.loads(await plan(pair()))["changes"] == []
    edited = json.loads(await plan(changed(pair(), "spec.services.0.image", "other:1")))
    assert [one["kind"] for one in edited["changes"]] == ["Process"]
    assert "no /apis" in await plan(changed(pair(), "metadata.name", "nobody"), ExitCode.UNKNOWN)


async def test_the_doctor_knows_what_a_cluster_serves(env: OperatorEnv, served: ControlPlane, tmp_path: Path) -> None:
    """The API server, our CRD and an administrator's rights are well."""
    told = ("doctor", "--cluster", "--namespace", env.namespace, "--state", str(tmp_path), "-o", "json")
    done = await asyncio.to_thread(invoke, *told, env={"KUBECONFIG": str(served.kubeconfig)})
    states = {one["name"]: one["state"] for one in json.loads(done.stdout)["items"]}
    wanted = ("API server", "OrderFlow CRD", "create orderflows", "get pods/log")
    assert {name: states[name] for name in wanted} == dict.fromkeys(wanted, "Ok")
