"""Resources that mean harm: each is refused with words, or becomes Valid=False; operator and other flows live on."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from orderflow_model.findings import InvalidResourceError, Severity
from orderflow_model.lint.flow import lint
from orderflow_model.loading.load import parse_flow
from support.cluster.api import ApiError, Json
from support.cluster.operator_env import OperatorEnv, condition
from support.flow.fleet import until
from support.flow.flows import pair
from support.flow.hostile import CHANGES, hostile, mutations
from support.tools.names import unique_name

REFUSED = (400, 413, 422)


@pytest.fixture
async def bystander(env: OperatorEnv) -> OperatorEnv:
    """A sound flow, ready and at rest."""
    await env.start()
    for name in ("pair", "mutant"):
        await env.give_database(pair(name))
    await env.apply(pair("sound"))
    await env.until_ready("sound")
    await env.settle(2)
    return env


async def judged(env: OperatorEnv, flow: Json) -> tuple[str, str]:
    """Put a flow before API server and operator; give the verdict and its words. The flow is gone afterwards."""
    try:
        created = await env.api.create(flow, env.namespace)
    except ApiError as error:
        too_large_for_etcd = error.status == 500 and "larger than max" in str(error)
        return ("refused" if error.status in REFUSED or too_large_for_etcd else "broken"), str(error)
    name = created["metadata"]["name"]
    try:
        await until(lambda: _is_judged(env, name), f"{name} is judged\n{env.operator.tail()}", 60)
        valid = condition(await env.flow(name) or {}, "Valid")
        return f"Valid={valid['status']}", f"{valid['reason']}: {valid['message']}"
    finally:
        await env.api.delete("OrderFlow", env.namespace, name)
        await env.until_gone("OrderFlow", name)


async def _is_judged(env: OperatorEnv, name: str) -> bool:
    return condition(await env.flow(name) or {}, "Valid").get("status") in ("True", "False")


async def untouched(env: OperatorEnv) -> None:
    """Check that the operator lives and that the sound flow is as it was, still served."""
    assert env.operator.running, env.operator.tail()
    writes = [call for call in env.writes() if call.get("name", "").startswith("sound")]
    await env.until_ready("sound", 20)
    assert writes == [call for call in env.writes() if call.get("name", "").startswith("sound")]


@pytest.mark.timeout(900)
async def test_each_hostile_resource_is_refused_with_words_or_marked_invalid(bystander: OperatorEnv) -> None:
    """A hundred of them by hand, one after another before the same operator."""
    before = len([call for call in bystander.writes() if call.get("name", "").startswith("sound")])
    wrong, verdicts = [], {"refused": 0, "Valid=False": 0}
    for name in CHANGES:
        verdict, words = await judged(bystander, hostile(name))
        if verdict not in verdicts or len(words) < 15:
            wrong.append(f"{name}: {verdict}, {words!r}")
        verdicts[verdict] = verdicts.get(verdict, 0) + 1
    print(f"{len(CHANGES)} hostile resources: {verdicts}")
    assert not wrong, "\n".join(wrong)
    await untouched(bystander)
    assert before == len([call for call in bystander.writes() if call.get("name", "").startswith("sound")])


@pytest.mark.timeout(900)
async def test_operator_and_model_agree_on_any_mutation(bystander: OperatorEnv) -> None:
    """Whatever is put where: what the model takes becomes Valid=True, what it does not is refused or Valid=False."""
    loop = asyncio.get_running_loop()
    disagreed: list[str] = []

    @settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(mutations(pair("mutant")))
    def judge(flow: Json) -> None:
        flow["metadata"] = {"name": unique_name("m")}
        done = asyncio.run_coroutine_threadsafe(judged(bystander, json.loads(json.dumps(flow))), loop)
        verdict, words = done.result(120)
        if (verdict == "Valid=True") != sound(flow):
            disagreed.append(f"{verdict} {words}: {json.dumps(flow['spec'])}")

    await asyncio.to_thread(judge)
    assert not disagreed, "\n".join(disagreed[:5])
    await untouched(bystander)


def sound(flow: Json) -> bool:
    """Whether the model takes a flow as the API server stores it: without its nulls."""
    try:
        findings = lint(parse_flow(_without_nulls(flow)))
    except InvalidResourceError:
        return False
    return not any(finding.severity is Severity.ERROR for finding in findings)


def _without_nulls(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_nulls(value) for key, value in node.items() if value is not None}
    return [_without_nulls(value) for value in node] if isinstance(node, list) else node


async def test_object_names_that_two_flows_share_are_refused_to_the_later(bystander: OperatorEnv) -> None:
    """Flow `a` with service `b-c` and flow `a-b` with `c` would make the same objects: the later one says so."""
    for name, first in (("a", "b-c"), ("a-b", "c")):
        flow = pair(name)
        flow["spec"]["services"][0]["name"] = first
        await bystander.apply(flow)
        if name == "a":
            await bystander.until_ready("a")
    said = await bystander.until("a-b", "Ready", "False")
    assert "a-b-c" in said["message"]
    assert "OrderFlow" in said["message"]
    await bystander.until_ready("a")
    await untouched(bystander)


def alias_bomb() -> str:
    """Give a few lines that stand for 9^12 values."""
    lines = (f"k{level}: &k{level} [{','.join([f'*k{level - 1}'] * 9)}]" for level in range(1, 13))
    return "\n".join(["k0: &k0 [x]", *lines])


@pytest.mark.parametrize("text", [alias_bomb(), "[" * 20_000], ids=["aliases", "depth"])
def test_a_yaml_bomb_is_refused_at_the_command_line(text: str, tmp_path: Path) -> None:
    """`orderflow lint` says no in a sentence and in little time."""
    (file := tmp_path / "bomb.yaml").write_text(text)
    command = [str(Path(sys.executable).with_name("orderflow")), "lint", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr + done.stdout
    assert done.stderr + done.stdout
