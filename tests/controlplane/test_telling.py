"""What the operator tells of itself: whether it lives, what it counts, and its log."""

import json
from collections import Counter

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from support.cluster.kinds import path_of
from support.cluster.operator_env import OperatorEnv
from support.flow.fleet import until
from support.flow.flows import pair

Sample = tuple[str, tuple[str, ...]]


async def fetch(env: OperatorEnv, path: str) -> tuple[int, str]:
    """Give status and text of one of its pages."""
    url = f"http://127.0.0.1:{env.operator.http_port}{path}"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return answer.status, await answer.text()


async def samples(env: OperatorEnv) -> dict[Sample, float]:
    """Give what it counts by name and label values, without its prefix."""
    families = text_string_to_metric_families((await fetch(env, "/metrics"))[1])
    return {
        (one.name.removeprefix("orderflow_operator_"), tuple(one.labels.values())): one.value
        for family in families
        if family.name.startswith("orderflow_operator_")
        for one in family.samples
    }


async def test_it_counts_what_it_does(env: OperatorEnv) -> None:
    """Writes by kind are those of the audit log; errors stand by their reason; nobody waits at rest."""
    await env.start()
    await env.apply(pair())
    await env.apply(pair("poor"), database=False)
    await env.until_ready("pair")
    await env.until("poor", "Ready", "False", "DatabaseSecretMissing")
    await env.settle(2)
    counted, made = await samples(env), await env.made()
    audited = Counter(call["resource"] for call in env.writes() if call["code"] < "300")
    for kind in ("Deployment", "KafkaTopic", "ConfigMap", "Secret"):
        ours = sum(
            value for (name, labels), value in counted.items() if (name, labels[:1]) == ("writes_total", (kind,))
        )
        assert ours == audited[path_of(kind).rpartition("/")[2]], kind
    assert counted["errors_total", ("DatabaseSecretMissing",)] >= 1
    assert counted["reconciles_total", ("settled",)] >= 1
    assert counted["reconciles_total", ("troubled",)] >= 1
    assert counted["reconcile_seconds_count", ()] == sum(
        value for (name, _), value in counted.items() if name == "reconciles_total"
    )
    assert counted["flows", ()] == 2
    assert counted["objects", ()] == sum(kind != "Secret" for kind, _ in made)
    assert counted["queue", ()] == 0


async def test_it_says_that_it_lives_and_when_it_is_ready(env: OperatorEnv) -> None:
    """The pod's probes have their answers."""
    await env.start()
    assert await fetch(env, "/livez") == (200, "ok")
    assert await fetch(env, "/readyz") == (200, "ok")


async def test_each_line_of_its_log_is_json_and_names_the_flow(env: OperatorEnv) -> None:
    """Whoever looks for a flow finds its lines, with the generation they speak of."""
    await env.start()
    await env.apply(pair())
    await env.until_ready("pair")
    key = f"{env.namespace}/pair"

    def told() -> bool:
        lines = [json.loads(line) for line in env.operator.log.read_text().splitlines()]
        ours = [line for line in lines if line.get("flow") == key]
        return any(line["generation"] == 1 and "Ready" in line["message"] for line in ours)

    await until(told, "the log speaks of the ready flow", 10)
