"""checkov and kube-score find nothing in what is written into a cluster but what is accepted, with its reason."""

from pathlib import Path

import pytest
import yaml

from orderflow_model.loading.load import parse_flow
from orderflow_model.placement import processes
from orderflow_operator.resources.build_context import BuildContext, Database
from orderflow_operator.resources.desired import desired
from support.cluster.helm import OPERATOR, PLATFORM, ROOT, Helm, Json
from support.cluster.manifest_linters import ACCEPTED, findings

pytestmark = pytest.mark.timeout(3600)  # the first run compiles Helm and kube-score, and installs checkov

_ALL_ON = {
    OPERATOR: {"podDisruptionBudget": {"enabled": True}},
    PLATFORM: {"collector": {"enabled": True}},
}


def of_operator(name: str, placement: str) -> list[Json]:
    """Give all that the operator writes for the reference flow, each of whose processes has had several pods."""
    flow = yaml.safe_load((ROOT / "manifests/flows/shop.yaml").read_text())
    flow["metadata"] |= {"name": name, "namespace": "shop", "uid": "00000000-0000-4000-8000-000000000000"}
    flow["spec"]["placement"] = {"mode": placement}
    parsed = parse_flow(flow)
    several = frozenset(process.name for process in processes(parsed))
    return [dict(one) for one in desired(parsed, BuildContext(database=Database(), several=several))]


@pytest.fixture(scope="module")
def written(newest_helm: Helm) -> dict[str, list[Json]]:
    """All that is written into a cluster, by who writes it."""
    charts = {chart.name: newest_helm.render(chart, values) for chart, values in _ALL_ON.items()}
    return charts | {"the operator": [*of_operator("shop", "Apart"), *of_operator("shared", "Together")]}


def test_nothing_is_found_that_nobody_has_accepted(written: dict[str, list[Json]], scratch: Path) -> None:
    """Over the charts, and over what the operator writes for the reference flow."""
    objects = [item for items in written.values() for item in items]
    assert findings(objects, scratch / "judged") == []


def test_few_findings_are_accepted() -> None:
    """Three reasons at most: whoever has a fourth changes what was found, not the list."""
    assert len(ACCEPTED) <= 3


def test_a_pod_with_rights_would_be_found(written: dict[str, list[Json]], scratch: Path) -> None:
    """Both judges look: take the limits away from one pod, and they tell of it."""
    broken = yaml.safe_load(yaml.safe_dump(written["orderflow-platform"]))
    kafka = next(item for item in broken if item["kind"] == "StatefulSet" and item["metadata"]["name"] == "kafka")
    container = kafka["spec"]["template"]["spec"]["containers"][0]
    container["securityContext"] = {"privileged": True}
    del container["resources"]["limits"]
    checks = {found.partition(" ")[0] for found in findings([kafka], scratch / "broken")}
    assert {"CKV_K8S_16", "container-security-context-privileged", "container-resources"} <= checks
